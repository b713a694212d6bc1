//! What the kernel knows of a process: CPU time and resident memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Result;

/// Microseconds in one unit of `/proc/PID/stat`: USER_HZ is 100 on every Linux architecture that Rust has.
const TICK_US: u64 = 10_000;
/// Wanted open files, in this process and in those that it starts.
const FILES: u64 = 65_536;

/// CPU time of a process, user and system, all threads, in microseconds.
pub fn cpu_us(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the numbers start after the last one.
    let (_, rest) = stat.rsplit_once(')').ok_or("unreadable /proc/PID/stat")?;
    let ticks = |at: usize| rest.split_whitespace().nth(at).and_then(|text| text.parse::<u64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) * TICK_US),
        _ => Err("unreadable /proc/PID/stat".into()),
    }
}

/// Resident memory of a process in bytes. The rollup is exact; the counters of `status` lag behind.
pub fn rss(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).ok_or("no Rss in smaps_rollup")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The processes that a process started.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Bytes that the files of a folder take, as `du` counts.
pub fn disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => disk(&entry.path()),
            // POSIX counts blocks of 512 bytes.
            Ok(about) => about.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// As many open files as this user may have.
pub fn raise_file_limit() {
    if setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).is_err()
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Open files that this process may have.
pub fn file_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Cores, kernel, compiler, nginx.
pub fn machine_line() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let rustc = version("rustc", "-V");
    let nginx = version("nginx", "-v");
    format!(
        "Machine: {cores} cores ({}), Linux {}, {rustc}, {}.",
        model.unwrap_or("model unknown"),
        kernel.trim(),
        nginx.strip_prefix("nginx version: ").unwrap_or(&nginx),
    )
}

fn version(program: &str, flag: &str) -> String {
    Command::new(program)
        .arg(flag)
        .output()
        .map(|output| {
            // nginx says it on stderr.
            let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
            String::from_utf8_lossy(&text).trim().to_owned()
        })
        .unwrap_or_else(|_| format!("no {program}"))
}
