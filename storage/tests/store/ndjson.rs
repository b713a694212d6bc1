//! Export and import.

use std::io::BufReader;

use sessiongate_protocol::StreamId;
use sessiongate_storage::sled::{NdjsonError, SledStore, export_ndjson, import_ndjson};
use sessiongate_storage::{CatalogueStore, ControlStore, ObjectKey, ObjectWrite, Op, Replay, SessionStore, Timestamp};

use crate::sled_engine::temporary;
use crate::suite::{STREAM, append, batch, bytes, item, key, lease, record};

fn export(store: &SledStore) -> (u64, String) {
    let mut out = Vec::new();
    let lines = export_ndjson(store, &mut out).unwrap();
    (lines, String::from_utf8(out).unwrap())
}

fn import(store: &SledStore, text: &str) -> Result<u64, NdjsonError> {
    import_ndjson(store, &mut BufReader::new(text.as_bytes()))
}

async fn fill(store: &SledStore) {
    for number in 0..100 {
        let lease = lease(store, key(number)).await;
        let events = (1..=5).map(|seq| append(seq, bytes(usize::from(number) * 100, number)));
        let ops = [record(bytes(usize::from(number) * 90, 1), number.into()), item(7, "i")].into_iter().chain(events);
        store.commit(&lease, batch(ops.chain([Op::Trim { stream: STREAM, through: 2 }]))).await.unwrap();
    }
    store.put_catalogue("shop", "cart", bytes(30_000, 1)).await.unwrap();
    store.put_meta("seal", bytes(32, 2)).await.unwrap();
    let object = ObjectKey::scoped("target", "shop-0123456789", "ABCDEFGHIJ");
    store.write_objects(vec![ObjectWrite::put(object, bytes(9_000, 3))].into()).await.unwrap();
}

#[tokio::test]
async fn an_export_can_be_imported() {
    let (_a, from) = temporary();
    fill(&from).await;
    let (lines, text) = export(&from);
    // Record, item, trim mark, three events; catalogue, named value and object.
    assert_eq!(lines, 100 * 6 + 3);
    assert_eq!(text.lines().count(), 605);
    let (_b, to) = temporary();
    // What is in the file replaces what is there.
    let lease = lease(&to, key(1)).await;
    to.commit(&lease, batch([record("old", 5000), item(9, "old"), append(99, "old")])).await.unwrap();
    assert_eq!(import(&to, &text).unwrap(), lines);
    assert_eq!(export(&to).1, text);
    for number in 0..100 {
        assert_eq!(to.load(key(number)).await.unwrap(), from.load(key(number)).await.unwrap());
    }
    assert_eq!(to.replay(key(4), STREAM, 1, 9).await.unwrap(), Replay::Trimmed { first: 3 });
    assert_eq!(to.expired(Timestamp(u64::MAX), 1000).await.unwrap().len(), 100);
    assert_eq!(to.replay(key(4), StreamId(9), 1, 9).await.unwrap(), Replay::Unknown);
    let object = ObjectKey::scoped("target", "shop-0123456789", "ABCDEFGHIJ");
    assert_eq!(to.load_object(&object).await.unwrap().unwrap().value, bytes(9_000, 3));
    assert_eq!(to.load_catalogue("shop", "cart").await.unwrap().unwrap(), bytes(30_000, 1));
    // Twice is the same as once.
    import(&to, &text).unwrap();
    assert_eq!(export(&to).1, text);
}

#[tokio::test]
async fn bad_files_are_refused() {
    let (_a, from) = temporary();
    fill(&from).await;
    let (_, text) = export(&from);
    let (_b, to) = temporary();
    assert!(matches!(import(&to, ""), Err(NdjsonError::CutShort)));
    assert!(matches!(import(&to, "{}\n"), Err(NdjsonError::Line { line: 1, .. })));
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    assert!(matches!(import(&to, &newer), Err(NdjsonError::Line { line: 1, .. })));
    let cut = text.rsplit_once("{\"type\":\"end\"").unwrap().0;
    assert!(matches!(import(&to, cut), Err(NdjsonError::CutShort)));
    let unknown = text.replacen("\"type\":\"item\"", "\"type\":\"itme\"", 1);
    assert!(matches!(import(&to, &unknown), Err(NdjsonError::Line { .. })));
    let hole: Vec<&str> = text.lines().enumerate().filter(|(index, _)| *index != 50).map(|(_, line)| line).collect();
    assert!(matches!(import(&to, &hole.join("\n")), Err(NdjsonError::Line { .. })));
}
