//! `sessiongate ls`: what an endpoint offers.

use rmcp::{
    RoleClient,
    model::{PaginatedRequestParams, Tool},
    service::{Peer, ServiceError},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    connect::connect,
    console::{Console, printable},
    error::ClientError,
    handler::Person,
    options::{ListOptions, Output},
    question::Asker,
};

/// Most pages of one list: an endpoint whose cursors never end is cut off.
const MAX_PAGES: usize = 1000;

/// Prints the server and its tools, prompts, resources and resource templates.
///
/// # Errors
/// If there is no connection, or a list is refused.
pub async fn list(options: &ListOptions, console: &Console) -> Result<(), ClientError> {
    let limit = options.endpoint.timeout;
    tokio::time::timeout(limit, list_all(options, console)).await.unwrap_or(Err(ClientError::Timeout(limit)))
}

async fn list_all(options: &ListOptions, console: &Console) -> Result<(), ClientError> {
    let person = Person { console: console.clone(), asker: Asker::new(console.clone(), Vec::new(), false) };
    let connection = connect(&options.endpoint, person, false, None).await?;
    let lists = offers(connection.running.peer(), &options.endpoint.url).await;
    connection.close().await;
    let lists = lists?;
    let text = match options.output {
        Output::Json => lists.to_string(),
        Output::Human => shown(&lists),
    };
    Ok(console.result(&text)?)
}

/// Every tool, from all pages.
///
/// # Errors
/// If a page is refused or the connection is lost.
pub async fn all_tools(peer: &Peer<RoleClient>, url: &Url) -> Result<Vec<Tool>, ClientError> {
    pages(url, async |cursor| {
        let page = peer.list_tools(cursor).await?;
        Ok((page.tools, page.next_cursor))
    })
    .await
}

async fn offers(peer: &Peer<RoleClient>, url: &Url) -> Result<Value, ClientError> {
    let info = peer.peer_info();
    let capabilities = info.as_ref().map(|info| info.capabilities.clone()).unwrap_or_default();
    let mut lists = json!({"server": info.as_deref()});
    if capabilities.tools.is_some() {
        lists["tools"] = json!(all_tools(peer, url).await?);
    }
    if capabilities.prompts.is_some() {
        let prompts = pages(url, async |cursor| {
            let page = peer.list_prompts(cursor).await?;
            Ok((page.prompts, page.next_cursor))
        });
        lists["prompts"] = json!(prompts.await?);
    }
    if capabilities.resources.is_some() {
        let resources = pages(url, async |cursor| {
            let page = peer.list_resources(cursor).await?;
            Ok((page.resources, page.next_cursor))
        });
        lists["resources"] = json!(resources.await?);
        let templates = pages(url, async |cursor| {
            let page = peer.list_resource_templates(cursor).await?;
            Ok((page.resource_templates, page.next_cursor))
        });
        lists["resourceTemplates"] = json!(templates.await?);
    }
    Ok(lists)
}

async fn pages<T>(
    url: &Url,
    page: impl AsyncFn(Option<PaginatedRequestParams>) -> Result<(Vec<T>, Option<String>), ServiceError>,
) -> Result<Vec<T>, ClientError> {
    let mut all = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let (items, next) = page(params).await.map_err(|error| ClientError::service(url, error))?;
        all.extend(items);
        cursor = next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
    Err(ClientError::Connection { url: url.to_string(), reason: format!("a list has over {MAX_PAGES} pages") })
}

fn shown(lists: &Value) -> String {
    let mut lines = Vec::new();
    let server = &lists["server"];
    let text = |value: &Value| printable(value.as_str().unwrap_or_default()).into_owned();
    let info = &server["serverInfo"];
    let who = match info["name"].as_str() {
        Some(name) => format!("{} {}", printable(name), text(&info["version"])),
        None => "a server without a name".to_owned(),
    };
    lines.push(format!("{who}, revision {}", text(&server["protocolVersion"])));
    let kinds = [("tools", "name"), ("prompts", "name"), ("resources", "uri"), ("resourceTemplates", "uriTemplate")];
    for (kind, name) in kinds {
        let Some(items) = lists[kind].as_array().filter(|items| !items.is_empty()) else {
            continue;
        };
        lines.push(format!("\n{kind} ({})", items.len()));
        for item in items {
            let about = item["description"].as_str().or_else(|| item["title"].as_str()).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default();
            lines.push(format!("  {:<32} {}", text(&item[name]), printable(about)).trim_end().to_owned());
        }
    }
    lines.join("\n")
}
