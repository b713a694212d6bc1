use proptest::prelude::*;
use serde_json::json;

use super::testing::Sampler;
use super::*;

/// Any JSON; names are often those of the model, so that it gets somewhere.
fn any_json() -> impl Strategy<Value = Value> {
    let names: Vec<String> =
        model().shapes().filter_map(|(_, shape)| shape.members()).flat_map(|members| members.keys().cloned()).collect();
    let name = prop_oneof![8 => proptest::sample::select(names), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Puts `new` at one of the places in a value, counted from the outside.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
    }
    let inner: Vec<&mut Value> = match value {
        _ if *at == 0 => Vec::new(),
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    *at = at.wrapping_sub(1);
    for value in inner {
        replace(value, at, new);
    }
}

proptest! {
    #[test]
    fn any_json_has_an_answer(value in any_json()) {
        for operation in model().operations() {
            if let Err(found) = model().validate(operation, &value) {
                prop_assert!(!found.is_empty() && found.len() <= 32);
            }
            let answer = model().output(operation, value.clone());
            prop_assert!(answer.is_object());
            prop_assert_eq!(model().output(operation, answer.clone()), answer);
        }
    }

    #[test]
    fn a_right_input_with_one_place_replaced_has_an_answer(new in any_json(), at in 1_usize..60, which in 0_usize..17) {
        let operation = model().operations().nth(which).unwrap();
        for mut input in Sampler::new(model()).maximal(operation) {
            replace(&mut input, &mut at.clone(), &new);
            match model().validate(operation, &input) {
                // What is accepted is understood: nothing of it is dropped but nulls.
                Ok(()) => {
                    let kept = model().project(operation.input, input.clone()).unwrap();
                    prop_assert_eq!(model().validate(operation, &kept), Ok(()));
                }
                Err(found) => prop_assert!(!found.is_empty()),
            }
        }
    }

    #[test]
    fn any_request_has_an_answer(
        method in prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE")],
        path in prop_oneof![any::<String>(), "/(gateways|tags)(/[a-z%0-9]{0,12}){0,4}"],
        query in prop_oneof![any::<String>(), "([a-zA-Z%0-9]{0,12}=[a-z%0-9]{0,4}&){0,4}"],
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(matched) = model().route(method, &path) {
            let error = Input::parse(model(), matched, &query, &body).err();
            prop_assert!(error.is_none_or(|error| error.status() == 400));
        }
    }
}

#[test]
fn what_replaces_a_place_is_there() {
    let mut value = json!({"a": [1, 2], "b": 3});
    replace(&mut value, &mut 3, &json!("x"));
    assert_eq!(value, json!({"a": [1, "x"], "b": 3}));
}
