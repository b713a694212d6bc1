//! The tea house with a guest of the official SDK, over a pipe.

use rmcp::{
    ClientHandler, ErrorData, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResult, ClientConfig, CustomNotification, ElicitRequestParams, ElicitResult,
        GetPromptRequestParams, Implementation, ReadResourceRequestParams,
    },
    service::{NotificationContext, RequestContext, RunningService},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{menu, server::TeaHouse};

/// Accepts every question, forms with this content, and passes on what is complete.
struct Guest {
    able: bool,
    content: Value,
    complete: mpsc::UnboundedSender<Value>,
}

impl ClientHandler for Guest {
    fn get_info(&self) -> ClientConfig {
        let capabilities = if self.able { json!({"elicitation": {"form": {}, "url": {}}}) } else { json!({}) };
        ClientConfig::new(serde_json::from_value(capabilities).unwrap(), Implementation::new("guest", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let form = matches!(request, ElicitRequestParams::FormElicitationParams { .. });
        let answer =
            if form { json!({"action": "accept", "content": self.content}) } else { json!({"action": "accept"}) };
        menu::model(answer)
    }

    async fn on_custom_notification(&self, notification: CustomNotification, _: NotificationContext<RoleClient>) {
        self.complete.send(json!([notification.method, notification.params])).unwrap();
    }
}

async fn visit(able: bool, content: Value) -> (RunningService<RoleClient, Guest>, mpsc::UnboundedReceiver<Value>) {
    let (house, guest) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move { TeaHouse.serve(house).await.unwrap().waiting().await });
    let (complete, completed) = mpsc::unbounded_channel();
    (Guest { able, content, complete }.serve(guest).await.unwrap(), completed)
}

async fn call(guest: &RunningService<RoleClient, Guest>, tool: &'static str, arguments: Value) -> CallToolResult {
    let arguments = arguments.as_object().cloned().unwrap();
    guest.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
}

#[tokio::test]
async fn an_order_is_what_the_form_said() {
    let order = json!({"tea": "assam", "cups": 3, "extras": ["milk"], "to_go": true});
    let (guest, _completed) = visit(true, order.clone()).await;
    let result = call(&guest, "order_tea", json!({})).await;
    assert_eq!(result.structured_content.unwrap(), json!({"order": order}));
}

#[tokio::test]
async fn a_payment_is_complete_after_the_visit() {
    let (guest, mut completed) = visit(true, json!({})).await;
    let result = call(&guest, "pay", json!({"url": "https://example.com/pay/1"})).await;
    assert_eq!(result.content[0].as_text().unwrap().text, "Paid, thank you.");
    assert_eq!(completed.recv().await.unwrap()[0], "notifications/elicitation/complete");
}

#[tokio::test]
async fn a_guest_who_cannot_be_asked_is_told_so() {
    let (guest, _completed) = visit(false, json!({})).await;
    for tool in ["order_tea", "pay"] {
        let result = call(&guest, tool, json!({})).await;
        assert_eq!(result.is_error, Some(true));
        assert!(result.content[0].as_text().unwrap().text.contains("sessiongate call"));
    }
}

#[tokio::test]
async fn the_menu_is_there_to_read() {
    let (guest, _completed) = visit(true, json!({})).await;
    assert_eq!(guest.list_all_tools().await.unwrap().len(), 4);
    let menu = guest.read_resource(ReadResourceRequestParams::new(menu::MENU_URI)).await.unwrap();
    assert!(json!(menu)["contents"][0]["text"].as_str().unwrap().contains("Sencha"));
    let prompt = guest.get_prompt(GetPromptRequestParams::new("recommend_tea")).await.unwrap();
    assert!(json!(prompt)["messages"][0]["content"]["text"].as_str().unwrap().contains("this hour"));
    assert!(guest.read_resource(ReadResourceRequestParams::new("tea://none")).await.is_err());
}
