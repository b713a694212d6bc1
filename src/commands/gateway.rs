//! `sessiongate gateway`

use std::process::ExitCode;

use serde_json::{Value, json};

use super::control::{Desk, Failure, GatewayMembers, Patience, Subject, cannot_begin, gateway_details, gateway_row};
use crate::cli::args::control::WaitArgs;
use crate::cli::args::gateway::{GatewayArgs, GatewayCommand, GatewayCreateArgs, GatewayUpdateArgs};
use crate::control_client::{ControlClientError, Resource};

const HEAD: [&str; 6] = ["NAME", "ID", "STATUS", "AUTHORIZER", "UPDATED", "DESCRIPTION"];

pub(super) async fn run(args: &GatewayArgs) -> ExitCode {
    let desk = match Desk::open(&args.access, args.output) {
        Ok(desk) => desk,
        Err(failure) => return cannot_begin(&failure),
    };
    let done = match &args.command {
        GatewayCommand::Create(args) => create(&desk, args).await,
        GatewayCommand::List => list(&desk).await,
        GatewayCommand::Get { gateway } => get(&desk, gateway).await,
        GatewayCommand::Update(args) => update(&desk, args).await,
        GatewayCommand::Delete { gateway, wait } => delete(&desk, gateway, wait).await,
    };
    desk.finish(done)
}

async fn create(desk: &Desk, args: &GatewayCreateArgs) -> Result<ExitCode, Failure> {
    let account = desk.access.account.as_deref();
    let GatewayMembers { mut members, tags } = GatewayMembers::created(&args.name, &args.members, account)?;
    if !tags.is_empty() {
        members.insert("tags".into(), json!(tags));
    }
    let patience = Patience::new(args.wait.limit())?;
    let gateway = desk.client.create_gateway(&members).await?;
    desk.follow(&subject(&gateway, &args.name), gateway, patience).await
}

async fn list(desk: &Desk) -> Result<ExitCode, Failure> {
    Ok(desk.list(&HEAD, &desk.client.gateways().await?, gateway_row))
}

async fn get(desk: &Desk, name: &str) -> Result<ExitCode, Failure> {
    let mut gateway = desk.client.find_gateway(name).await?;
    // The API keeps them apart from the gateway, and who may not see them sees the rest.
    let tags = match desk.client.tags(arn(&gateway)).await {
        Err(ControlClientError::Refused(refusal)) if refusal.error_type == "AccessDeniedException" => Value::Null,
        tags => tags?,
    };
    if tags.as_object().is_some_and(|tags| !tags.is_empty()) {
        gateway["tags"] = tags;
    }
    Ok(desk.show(&gateway, gateway_details))
}

async fn update(desk: &Desk, args: &GatewayUpdateArgs) -> Result<ExitCode, Failure> {
    let before = desk.client.find_gateway(&args.gateway).await?;
    let GatewayMembers { members, tags } = GatewayMembers::updated(&before, &args.members)?;
    let patience = Patience::new(args.wait.limit())?;
    let subject = subject(&before, &args.gateway);
    let gateway = desk.client.update(&subject.resource, &members).await?;
    if !tags.is_empty() {
        desk.client.tag(arn(&before), &tags).await?;
    }
    desk.follow(&subject, gateway, patience).await
}

async fn delete(desk: &Desk, name: &str, wait: &WaitArgs) -> Result<ExitCode, Failure> {
    let gateway = desk.client.find_gateway(name).await?;
    let patience = Patience::new(wait.limit())?;
    let subject = subject(&gateway, name);
    let answer = desk.client.delete(&subject.resource).await?;
    desk.follow_deletion(&subject, answer, patience).await
}

fn arn(gateway: &Value) -> &str {
    gateway["gatewayArn"].as_str().unwrap_or_default()
}

/// `called` is how the person called it.
fn subject(gateway: &Value, called: &str) -> Subject {
    let id = gateway["gatewayId"].as_str().unwrap_or(called);
    Subject {
        kind: "gateway",
        name: gateway["name"].as_str().unwrap_or(called).to_owned(),
        resource: Resource::Gateway(id.to_owned()),
        look: format!("sessiongate gateway get {called}"),
        details: gateway_details,
    }
}
