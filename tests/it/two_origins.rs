//! Gateways of the configuration file and created ones in one process: neither gets what the other has.

use serde_json::{Value, json};

use crate::addresses::{initialize, title};
use crate::control_client::{Control, gateway};
use crate::harness::{Program, eventually, http_target, reference_server};

/// A gateway of the file, and a created one with a domain of its own.
struct Scene {
    control: Control,
    /// With `NAME` and `MORE` of its gateway.
    file: String,
    /// Where clients connect.
    base: String,
    /// The id of the created one.
    shop: String,
}

// === impl Scene ===

impl Scene {
    /// That of the file is `open`.
    async fn new() -> (Self, Program, Program) {
        let target = reference_server(&[]);
        let control = Control::new("", "");
        let text = std::fs::read_to_string(control.home.file()).unwrap();
        let port = text.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap();
        let base = format!("http://{port}");
        let targets = http_target("ref", &target.url, "");
        let file = format!("{text}gateways:\n  - name: NAME\n    MORE\n    targets:\n    {}\n", targets.trim());
        let scene = Self { control, file, base, shop: String::new() };
        scene.write("open", "path: /mcp");
        let program = scene.control.start();
        let shop = scene.control.gateway("shop", json!({"domainOverride": {"default": "shop.example"}})).await;
        (Self { shop, ..scene }, program, target)
    }

    fn write(&self, name: &str, more: &str) {
        self.control.home.write_text(&self.file.replace("NAME", name).replace("MORE", more));
    }

    /// Which gateway answers at the path of the created one, and at its domain.
    async fn served(&self) -> [String; 2] {
        let path = format!("{}/gateways/{}/mcp", self.base, self.shop);
        let own = initialize(&format!("{}/mcp", self.base), Some("shop.example"), None).await;
        [title(initialize(&path, None, None).await).await, title(own).await]
    }

    async fn shown(&self) -> Value {
        self.control.ok("GET", &format!("/gateways/{}/", self.shop), None).await
    }

    /// Which gateway answers at this path, or with which status none does.
    async fn at(&self, path: &str) -> String {
        title(initialize(&format!("{}{path}", self.base), None, None).await).await
    }

    /// Nobody may call the gateway of this id.
    async fn shut(&self, id: &str) {
        let arn = arn(id);
        let statement =
            json!({"Effect": "Deny", "Principal": "*", "Action": "bedrock-agentcore:InvokeGateway", "Resource": arn});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        self.control.ok("PUT", &policy_of(id), Some(&json!({"policy": policy}))).await;
    }

    /// What a file could take from the created gateway.
    fn thefts(&self) -> [(String, String); 4] {
        [
            ("thief".to_owned(), "hosts: [Shop.example]".to_owned()),
            ("thief".to_owned(), format!("hosts: [{}.localhost]", self.shop)),
            ("thief".to_owned(), format!("path: /gateways/{}/mcp", self.shop)),
            (self.shop.clone(), "path: /other".to_owned()),
        ]
    }
}

fn arn(id: &str) -> String {
    format!("arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/{id}")
}

/// The path of its resource policy.
fn policy_of(id: &str) -> String {
    format!("/resourcepolicy/{}", arn(id).replace(':', "%3A").replace('/', "%2F"))
}

#[tokio::test]
async fn a_changed_file_gets_nothing_that_a_created_gateway_has() {
    let (scene, program, _target) = Scene::new().await;
    assert_eq!(scene.served().await, [&*scene.shop, &scene.shop]);
    for (at, (name, more)) in scene.thefts().iter().enumerate() {
        scene.write(name, more);
        eventually("a refusal", async || {
            let log = program.log();
            let refused: Vec<&str> = log.lines().filter(|line| line.contains("configuration is refused")).collect();
            let last = refused.get(at)?;
            assert!(last.contains(&scene.shop) && last.contains(name), "{last}");
            Some(())
        })
        .await;
        assert_eq!(scene.served().await, [&*scene.shop, &scene.shop], "{more}");
        assert_eq!(title(initialize(&format!("{}/mcp", scene.base), None, None).await).await, "open", "{more}");
    }
    assert_eq!(scene.shown().await.get("statusReasons"), None);
}

#[tokio::test]
async fn at_the_start_the_file_goes_first_and_what_it_takes_comes_back() {
    let (scene, program, _target) = Scene::new().await;
    drop(program);
    let shop = scene.shop.as_str();
    for ((name, more), served) in
        scene.thefts().into_iter().zip([[shop, "thief"], [shop, shop], ["thief", shop], ["404", "403"]])
    {
        scene.write(&name, &more);
        let program = scene.control.start();
        assert_eq!(scene.served().await, served, "{more}");
        let warned = |line: &&str| line.contains("WARN") && line.contains(shop) && line.contains(&name);
        assert!(program.log().lines().any(|line| warned(&line)), "{more}: {}", program.log());
        let shown = scene.shown().await;
        let reasons = shown["statusReasons"].to_string();
        // Its first label stays what it was: the file's gateway does not get that.
        assert_eq!(reasons.contains(&name), !more.contains("localhost"), "{more}: {shown}");
        let status = if served == ["404", "403"] { "FAILED" } else { "READY" };
        assert_eq!(shown["status"], status, "{more}");
        // Another change of the file is not refused for what it has already.
        let again = format!("{more}\n    instructions: changed");
        scene.write(&name, &again);
        eventually("the change", async || program.log().contains("instructions").then_some(())).await;
        // Who changes the created gateway meanwhile changes nothing of the file's.
        let mut members = gateway("shop", json!({"domainOverride": {"default": "shop.example"}, "description": more}));
        members.as_object_mut().unwrap().remove("clientToken");
        let path = format!("/gateways/{shop}/");
        if served[1] != "thief" {
            scene.control.ok("PUT", &path, Some(&members)).await;
            scene.control.settled(&path, status).await;
        }
        assert_eq!(scene.served().await, served, "{more}");

        scene.write("open", "path: /mcp");
        eventually("what was taken", async || {
            let shown = scene.shown().await;
            let free = shown["status"] == "READY" && shown.get("statusReasons").is_none();
            free.then_some(())
        })
        .await;
        assert_eq!(scene.served().await, [shop, shop], "{more}");
        drop(program);
    }
}

#[tokio::test]
async fn a_resource_policy_stays_with_its_gateway_whoever_has_the_name() {
    let (scene, program, _target) = Scene::new().await;
    drop(program);
    let shop = scene.shop.as_str();
    // The file's gateway has the name, and nothing else of the created one.
    scene.write(shop, "path: /other");
    let program = scene.control.start();
    assert_eq!((scene.shown().await["status"].as_str(), scene.at("/other").await.as_str()), (Some("FAILED"), shop));
    let listed = scene.control.ok("GET", "/gateways/", None).await;
    let ids = listed["items"].as_array().unwrap().iter().map(|item| item["gatewayId"].as_str().unwrap());
    let own = ids.filter(|id| *id != shop).collect::<Vec<_>>().concat();

    scene.shut(shop).await;
    assert_eq!(scene.at("/other").await, shop);
    scene.shut(&own).await;
    assert_eq!(scene.at("/other").await, "403");
    scene.control.ok("DELETE", &policy_of(shop), None).await;
    assert_eq!(scene.at("/other").await, "403");
    scene.shut(shop).await;
    scene.control.ok("DELETE", &policy_of(&own), None).await;
    assert_eq!(scene.at("/other").await, shop);
    drop(program);
    let program = scene.control.start();
    assert_eq!(scene.at("/other").await, shop, "after a start");

    // It waited for its gateway, which comes back with it.
    scene.write("open", "path: /mcp");
    let path = format!("/gateways/{shop}/");
    scene.control.settled(&path, "READY").await;
    assert_eq!(scene.at(&format!("{path}mcp")).await, "403");
    assert_eq!(scene.at("/mcp").await, "open");
    drop(program);

    // The other one's end takes nothing away.
    scene.write(shop, "path: /other");
    let _program = scene.control.start();
    scene.shut(&own).await;
    scene.control.ok("DELETE", &path, None).await;
    eventually("the end", async || (scene.control.send("GET", &path, None).await.status == 404).then_some(())).await;
    assert_eq!(scene.at("/other").await, "403");
}

#[tokio::test]
async fn gateways_of_the_file_are_read_by_the_ids_that_lists_show_and_take_no_room() {
    let (home, target) = (Control::new("", ""), reference_server(&[]));
    let text = std::fs::read_to_string(home.home.file()).unwrap();
    let targets = http_target("ref", &target.url, "");
    let text = text.replace("quotas: {", "quotas: {gateways: 1, ");
    let gateways: String = ["a--b", "c-d", "e---f-0123456789"]
        .map(|name| format!("  - name: {name}\n    targets:\n    {}\n", targets.trim()))
        .concat();
    home.home.write_text(&format!("{text}gateways:\n{gateways}"));
    let _program = home.start();
    let listed = home.ok("GET", "/gateways/", None).await;
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    for item in listed {
        let id = item["gatewayId"].as_str().unwrap();
        let read = home.ok("GET", &format!("/gateways/{id}/"), None).await;
        assert_eq!(read["name"], item["name"]);
        assert!(["a-b", "c-d", "e-f-0123456789"].contains(&read["name"].as_str().unwrap()), "{read}");
        assert_eq!(home.ok("GET", &format!("/gateways/{id}/targets/"), None).await["items"][0]["name"], "ref");
    }
    home.gateway("shop", json!({})).await;
    let second = home.send("POST", "/gateways/", Some(&gateway("bank", json!({})))).await;
    assert_eq!(second.error.as_deref(), Some("ServiceQuotaExceededException"), "{second:?}");
}
