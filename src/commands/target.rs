//! `sessiongate target`

use std::process::ExitCode;

use serde_json::Value;

use super::control::{Desk, Failure, Patience, Subject, TargetMembers, cannot_begin, target_details, target_row};
use crate::cli::args::control::WaitArgs;
use crate::cli::args::target::{TargetArgs, TargetCommand, TargetCreateArgs, TargetName, TargetUpdateArgs};
use crate::control_client::Resource;

const HEAD: [&str; 8] = ["NAME", "ID", "STATUS", "TYPE", "LISTING", "PRIORITY", "SYNCHRONIZED", "DESCRIPTION"];

pub(super) async fn run(args: &TargetArgs) -> ExitCode {
    let desk = match Desk::open(&args.access, args.output) {
        Ok(desk) => desk,
        Err(failure) => return cannot_begin(&failure),
    };
    let done = match &args.command {
        TargetCommand::Create(args) => create(&desk, args).await,
        TargetCommand::List { gateway } => list(&desk, gateway).await,
        TargetCommand::Get(name) => get(&desk, name).await,
        TargetCommand::Update(args) => update(&desk, args).await,
        TargetCommand::Delete { target, wait } => delete(&desk, target, wait).await,
        TargetCommand::Sync { target, wait } => sync(&desk, target, wait).await,
    };
    desk.finish(done)
}

async fn create(desk: &Desk, args: &TargetCreateArgs) -> Result<ExitCode, Failure> {
    let members = TargetMembers::created(&args.name, &args.members)?;
    let gateway = gateway_id(desk, &args.gateway).await?;
    let patience = Patience::new(args.wait.limit())?;
    let target = desk.client.create_target(&gateway, &members).await?;
    let called = TargetName { gateway: args.gateway.clone(), target: args.name.clone() };
    desk.follow(&subject(&gateway, &target, &called), target, patience).await
}

async fn list(desk: &Desk, gateway: &str) -> Result<ExitCode, Failure> {
    let gateway = gateway_id(desk, gateway).await?;
    Ok(desk.list(&HEAD, &desk.client.targets(&gateway).await?, target_row))
}

async fn get(desk: &Desk, name: &TargetName) -> Result<ExitCode, Failure> {
    let (_, target) = find(desk, name).await?;
    Ok(desk.show(&target, target_details))
}

async fn update(desk: &Desk, args: &TargetUpdateArgs) -> Result<ExitCode, Failure> {
    let (gateway, before) = find(desk, &args.target).await?;
    let members = TargetMembers::updated(&before, args.new_name.as_deref(), &args.members)?;
    let patience = Patience::new(args.wait.limit())?;
    let mut subject = subject(&gateway, &before, &args.target);
    let target = desk.client.update(&subject.resource, &members).await?;
    if let Some(name) = &args.new_name {
        subject.name.clone_from(name);
        subject.look = format!("sessiongate target get {} {name}", args.target.gateway);
    }
    desk.follow(&subject, target, patience).await
}

async fn delete(desk: &Desk, name: &TargetName, wait: &WaitArgs) -> Result<ExitCode, Failure> {
    let (gateway, target) = find(desk, name).await?;
    let patience = Patience::new(wait.limit())?;
    let subject = subject(&gateway, &target, name);
    let answer = desk.client.delete(&subject.resource).await?;
    desk.follow_deletion(&subject, answer, patience).await
}

async fn sync(desk: &Desk, name: &TargetName, wait: &WaitArgs) -> Result<ExitCode, Failure> {
    let (gateway, target) = find(desk, name).await?;
    let patience = Patience::new(wait.limit())?;
    let subject = subject(&gateway, &target, name);
    let id = target["targetId"].as_str().unwrap_or_default();
    let answer = desk.client.synchronize(&gateway, id).await?;
    desk.follow(&subject, answer, patience).await
}

async fn gateway_id(desk: &Desk, called: &str) -> Result<String, Failure> {
    let gateway = desk.client.find_gateway(called).await?;
    Ok(gateway["gatewayId"].as_str().unwrap_or(called).to_owned())
}

async fn find(desk: &Desk, name: &TargetName) -> Result<(String, Value), Failure> {
    let gateway = gateway_id(desk, &name.gateway).await?;
    let target = desk.client.find_target(&gateway, &name.target).await?;
    Ok((gateway, target))
}

fn subject(gateway: &str, target: &Value, called: &TargetName) -> Subject {
    let id = target["targetId"].as_str().unwrap_or(&called.target);
    Subject {
        kind: "target",
        name: target["name"].as_str().unwrap_or(&called.target).to_owned(),
        resource: Resource::Target { gateway: gateway.to_owned(), id: id.to_owned() },
        look: format!("sessiongate target get {} {}", called.gateway, called.target),
        details: target_details,
    }
}
