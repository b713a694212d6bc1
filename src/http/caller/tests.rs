//! What meets a session in the very moment when it leaves memory.

use actix_web::body::MessageBody;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpResponse, ResponseError};
use sessiongate_actors::directory::SessionDirectory;
use sessiongate_protocol::Message;
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_storage::{MemoryStore, NodeId};

use super::*;
use crate::http::endpoint;

const CONFIG: &str = "
listen: 127.0.0.1:0
data_dir: unused
gateways:
  - name: test
    path: /mcp
    targets:
      - {name: dead, mcp: {url: 'https://dead.invalid/mcp'}}
";

struct Door {
    runtime: Data<Runtime>,
    revision: &'static str,
    session: Option<String>,
}

impl Door {
    /// A gateway with one session.
    async fn open(revision: &'static str) -> Self {
        let config = crate::config::parse("gateway.yaml", CONFIG, &|_| None).unwrap();
        let store = Arc::new(MemoryStore::new());
        let sealer = Arc::new(Sealer::new(Key::new(1, [7; 32]), Vec::new()).unwrap());
        let directory = SessionDirectory::new(store.clone(), NodeId("n".into()), 100);
        let healthy = Box::new(|| true);
        let runtime = Data::new(Runtime::new(directory, store.clone(), store, sealer, healthy, &config));
        runtime.apply(&config, "127.0.0.1:80".parse().unwrap()).await;
        let mut door = Self { runtime, revision, session: None };
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"t","version":"1"}}}}}}"#
        );
        let response = door.ask(Method::POST, &initialize).await;
        door.session = Some(response.headers().get(SESSION_ID).unwrap().to_str().unwrap().to_owned());
        door
    }

    async fn ask(&self, method: Method, body: &str) -> HttpResponse {
        let mut request = TestRequest::with_uri("/mcp")
            .method(method)
            .insert_header((ACCEPT, "application/json, text/event-stream"))
            .insert_header(("content-type", "application/json"))
            .insert_header((PROTOCOL_VERSION, self.revision))
            .set_payload(body.to_owned());
        if let Some(session) = &self.session {
            request = request.insert_header((SESSION_ID, session.as_str()));
        }
        let (request, mut payload) = request.to_http_parts();
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let served = endpoint::serve(self.runtime.clone(), request, payload).await;
        served.unwrap_or_else(|error| error.error_response())
    }

    async fn handle(&self) -> Arc<SessionHandle> {
        let served = self.runtime.gateway_at("/mcp").unwrap();
        let id = self.session.as_deref().unwrap();
        self.runtime.directory().find(&served.gateway, &Principal::anonymous(), id).await.unwrap()
    }
}

fn text(response: HttpResponse) -> String {
    String::from_utf8_lossy(&response.into_body().try_into_bytes().unwrap()).into_owned()
}

const PING: &str = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":"nothing","result":{}}"#;

#[actix_rt::test]
async fn everything_follows_a_session_out_of_memory_and_back() {
    for busy in [false, true] {
        for (method, body) in
            [("POST", PING), ("POST", NOTE), ("POST", ANSWER), ("GET", ""), ("DELETE", ""), ("POST", "[]")]
        {
            let batch = body == "[]";
            let body = if batch { format!("[{NOTE},{PING},{PING}]") } else { body.to_owned() };
            let method: Method = method.parse().unwrap();
            let door = Door::open(if batch { "2025-03-26" } else { "2025-11-25" }).await;
            // As it is with a session that stays.
            let expected = match (method.as_str(), body.as_str()) {
                ("DELETE", _) => 204,
                (_, NOTE) => 202,
                (_, ANSWER) => door.ask(Method::POST, ANSWER).await.status().as_u16(),
                _ => 200,
            };
            let handle = door.handle().await;
            let leaving = async {
                if busy {
                    // It waits for the disk before it leaves.
                    let Ok(Message::Notification(note)) = Message::parse(&NOTE.as_bytes().to_vec().into()) else {
                        panic!()
                    };
                    let (told, left) = tokio::join!(handle.notification(note), handle.shut_down());
                    told.unwrap();
                    left.unwrap();
                } else {
                    handle.shut_down().await.unwrap();
                }
            };
            let ((), response) = tokio::join!(leaving, door.ask(method.clone(), &body));
            assert!(!handle.is_alive(), "it left");
            assert_eq!(response.status(), expected, "{method} {body} busy: {busy}: {:?}", response.headers());
            if batch {
                assert_eq!(text(response).matches(r#""result":{}"#).count(), 2);
            } else if method == Method::DELETE {
                assert_eq!(door.runtime.directory().count_all(), 0);
                assert_eq!(door.ask(Method::POST, PING).await.status(), 404);
                continue;
            }
            assert_eq!(door.ask(Method::POST, PING).await.status(), 200);
        }
    }
}

#[actix_rt::test]
async fn a_session_that_never_stays_is_not_followed_for_ever() {
    let door = Door::open("2025-11-25").await;
    let (request, _) =
        TestRequest::with_uri("/mcp").insert_header((SESSION_ID, door.session.as_deref().unwrap())).to_http_parts();
    let gateway = door.runtime.gateway_at("/mcp").unwrap();
    let caller = Caller::new(&door.runtime, gateway, Identity::of(Principal::anonymous()), 0, &request);
    let mut met = 0;
    let refused = caller
        .with_session(None, async |session| {
            met += 1;
            session.shut_down().await?;
            session.view().await
        })
        .await;
    assert_eq!(refused.err().unwrap().code(), SessionError::Overloaded.code());
    assert_eq!(met, 3);
}
