#!/usr/bin/env bash
# The MCP Inspector's command line as a client: `inspector.sh URL [--era legacy|modern] [--fixture-prefix P] [--only CHECK]`.
# One JSON line per check, like the other clients; exit 1 when one failed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/../.cache
limit=30
url= prefix= only= era=legacy
while [ $# -gt 0 ]; do
  case $1 in
    --fixture-prefix) prefix=$2; shift 2 ;;
    --only) only="$only $2 "; shift 2 ;;
    --era) era=$2; shift 2 ;;
    --server-era | --touch | --lacks | --refusals) shift 2 ;;
    --many) shift ;;
    *) url=$1; shift ;;
  esac
done
[ -n "$url" ] || { echo "inspector.sh: which URL?" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# The Inspector keeps a catalogue of servers in the home folder; this run's home is its own.
inspect() {
  HOME="$scratch" MCP_CATALOG_PATH="$scratch/catalog.json" timeout "$limit" "$cache/bin/node" \
    "$cache/npm/inspector/node_modules/@modelcontextprotocol/inspector/$entry" --cli "$url" --transport http --protocol-era "$era" "$@"
}
entry=$("$cache/bin/node" -p 'Object.values(require(process.argv[1]).bin)[0]' "$cache/npm/inspector/node_modules/@modelcontextprotocol/inspector/package.json")

# check NAME JAVASCRIPT ARGUMENTS…: runs the Inspector; the expression judges `r`, its parsed answer.
check() {
  local name=$1 judge=$2 code
  shift 2
  [ -z "$only" ] || [[ "$only" == *" $name "* ]] || return 0
  inspect "$@" >"$scratch/out" 2>"$scratch/err"
  code=$?
  "$cache/bin/node" -e '
    const [name, judge, code, prefix, out, err] = process.argv.slice(1);
    const read = (p) => require("fs").readFileSync(p, "utf8");
    let ok = false, detail;
    try {
      const r = JSON.parse(read(out));
      const got = new Function("r", "prefix", `return ${judge}`)(r, prefix);
      ok = got !== false;
      detail = ok ? (got === true ? null : got) : JSON.stringify(r).slice(0, 600);
    } catch (error) {
      detail = `exit ${code}: ${error.message}; ${(read(err) || read(out)).trim().slice(0, 600)}`;
    }
    console.log(JSON.stringify({ check: name, ok, detail }));
    process.exit(ok ? 0 : 1);
  ' "$name" "$judge" "$code" "$prefix" "$scratch/out" "$scratch/err" || failed=1
}

check tools-list 'r.tools.some(t => t.name === prefix + "test_simple_text") && `${r.tools.length} tools`' --method tools/list
check call-text 'r.content[0].text.length > 0 && !r.isError' --method tools/call --tool-name "${prefix}test_simple_text"
check call-arguments '!r.isError && r.content.length > 0' --method tools/call --tool-name "${prefix}sg_progress" --tool-arg steps=3 delay_ms=10
check tool-error 'r.isError === true' --method tools/call --tool-name "${prefix}test_error_handling"
check resources-list 'r.resources.some(x => x.uri === "test://static-text") && `${r.resources.length} resources`' --method resources/list
check templates-list 'r.resourceTemplates.length > 0' --method resources/templates/list
check resource-read 'r.contents[0].text.length > 0' --method resources/read --uri test://static-text
check prompts-list 'r.prompts.some(p => p.name === prefix + "test_simple_prompt") && `${r.prompts.length} prompts`' --method prompts/list
check prompt-get 'JSON.stringify(r).includes("hello")' --method prompts/get --prompt-name "${prefix}test_prompt_with_arguments" --prompt-args arg1=hello arg2=world
exit $failed
