use std::collections::BTreeSet;

use super::testing::{Sampler, ViolationKind, examples};
use super::*;
use crate::control::ControlError;
use crate::control::error::SignatureFailure;

#[test]
fn the_file_that_is_compiled_in_loads() {
    let loaded = Model::parse(TEXT).unwrap();
    assert_eq!(loaded.operations().count(), 17);
    assert_eq!(model().operations().count(), 17);
    assert!(loaded.shapes().count() > 250);
}

#[test]
fn no_request_fits_two_operations() {
    assert_eq!(model().routes.ambiguous(), Vec::<String>::new());
}

#[test]
fn lists_with_pages_say_where_their_items_are() {
    for operation in model().operations() {
        let paged = model().member_list(operation).any(|(name, _)| name == "nextToken");
        assert_eq!(operation.items.is_some(), paged, "{}", operation.name);
        let output = model().shape(operation.output).members().unwrap();
        assert!(operation.items.iter().all(|items| output.contains_key(items)), "{}", operation.name);
    }
}

#[test]
fn every_error_of_the_model_has_its_status_here() {
    let message = String::new;
    let known = [
        ControlError::cannot_parse("x"),
        ControlError::ServiceQuotaExceeded { message: message() },
        ControlError::AccessDenied { message: message() },
        ControlError::ResourceNotFound { message: message() },
        ControlError::Conflict { message: message() },
        ControlError::Throttling { message: message() },
        ControlError::Internal { detail: message() },
    ];
    for operation in model().operations() {
        for (name, status) in &operation.errors {
            let same = |error: &&ControlError| error.error_type() == name && error.status() == *status;
            assert!(known.iter().any(|error| same(&error)), "{name} {status}");
        }
        assert!(operation.models(&known[0]), "{} cannot say that a request is wrong", operation.name);
    }
    assert!(!operation(OperationName::ListGateways).models(&known[4]));
    let unsigned = ControlError::Signature { failure: SignatureFailure::Missing, message: message() };
    assert!(!operation(OperationName::ListGateways).models(&unsigned));
}

#[test]
fn every_pattern_has_examples_and_does_what_they_say() {
    let mut unused: BTreeSet<_> = examples::BY_PATTERN.iter().map(|example| example.pattern).collect();
    for (_, shape) in model().shapes() {
        let Kind::String { pattern: Some(pattern), length, .. } = &shape.kind else { continue };
        let example = examples::of_pattern(pattern.source());
        let example = example.unwrap_or_else(|| panic!("{}: no examples for {}", shape.name, pattern.source()));
        unused.remove(example.pattern);
        let first = example.fits.first().unwrap().chars().count();
        assert!(length.contain(first as i64), "{}: the first example breaks the bounds", shape.name);
        assert!(!example.fails.is_empty(), "{}", example.pattern);
        for text in example.fits {
            assert!(pattern.matches(text), "{text:?} should fit {}", example.pattern);
        }
        for text in example.fails {
            assert!(!pattern.matches(text), "{text:?} should not fit {}", example.pattern);
        }
    }
    assert_eq!(unused, BTreeSet::new(), "patterns that are in no shape");
}

#[test]
fn a_line_end_after_the_text_is_part_of_it() {
    // Classes of the model that have line ends; `$` instead of `\z` would add all the others.
    let with_line_ends = [r"[\s\S]+", r"[a-zA-Z0-9\s._:/=+@-]*"];
    for example in examples::BY_PATTERN {
        let pattern = Pattern::new(example.pattern).unwrap();
        let ended = format!("{}\n", example.fits[0]);
        let may = with_line_ends.contains(&example.pattern) || example.pattern.contains("([a-z-]+/[^/]+)");
        assert_eq!(pattern.matches(&ended), may, "{}", example.pattern);
    }
}

#[test]
fn right_inputs_are_accepted() {
    let sampler = Sampler::new(model());
    let mut edges = 0;
    for operation in model().operations() {
        let minimal = sampler.minimal(operation);
        assert_eq!(model().validate(operation, &minimal), Ok(()), "{} {minimal}", operation.name);
        for input in sampler.maximal(operation).into_iter().chain(sampler.edges(operation)) {
            assert_eq!(model().validate(operation, &input), Ok(()), "{} {input}", operation.name);
            edges += 1;
        }
    }
    assert!(edges > 300, "{edges}");
}

#[test]
fn maximal_inputs_have_every_member_that_there_is() {
    let sampler = Sampler::new(model());
    for operation in model().operations() {
        let mut there = BTreeSet::new();
        let mut visited = BTreeSet::new();
        for input in sampler.maximal(operation) {
            sampler.visit(operation.input, &input, &mut Vec::new(), &mut |shape, value, _| {
                visited.insert(shape);
                there.extend(
                    value.as_object().into_iter().flat_map(|one| one.keys().map(move |name| (shape, name.clone()))),
                );
            });
        }
        for shape in visited {
            for name in model().shape(shape).members().into_iter().flatten().map(|(name, _)| name) {
                assert!(there.contains(&(shape, name.clone())), "{}: {name}", model().shape(shape).name);
            }
        }
    }
}

#[test]
fn each_optional_member_is_alone_in_a_right_input() {
    let sampler = Sampler::new(model());
    for operation in model().operations() {
        let mut there = BTreeSet::new();
        for alone in sampler.alone(operation) {
            assert_eq!(model().validate(operation, &alone.input), Ok(()), "{} {alone:?}", operation.name);
            assert!(there.insert(alone.path.clone()), "{} {} twice", operation.name, alone.path);
        }
        // Whatever can be left out of a full input is there.
        for input in sampler.maximal(operation) {
            sampler.visit(operation.input, &input, &mut Vec::new(), &mut |shape, value, steps| {
                let Kind::Structure { members, union } = &model().shape(shape).kind else { return };
                for name in value.as_object().unwrap().keys().filter(|name| *union || !members[*name].required) {
                    let at = testing::path(&[steps, &[testing::Step::Member(name.clone())]].concat());
                    assert!(there.contains(&at), "{}: {at}", operation.name);
                }
            });
        }
    }
}

#[test]
fn what_is_omitted_or_given_holds_everywhere() {
    let endpoint = "http://127.0.0.1:4242/mcp";
    let sampler = Sampler::new(model())
        .omit("TargetConfiguration", "http")
        .omit("TargetConfiguration", "inference")
        .omit("CreateGatewayTargetRequest", "privateEndpoint")
        .with("McpServerTargetConfigurationEndpointString", endpoint);
    let operation = operation(OperationName::CreateGatewayTarget);
    let all = sampler.maximal(operation);
    let endpoints: Vec<_> =
        all.iter().filter_map(|one| one.pointer("/targetConfiguration/mcp/mcpServer/endpoint")).collect();
    assert!(!endpoints.is_empty() && endpoints.iter().all(|one| *one == endpoint));
    for input in all.iter().chain([&sampler.minimal(operation)]) {
        assert!(input["targetConfiguration"]["mcp"].is_object());
        assert!(input.get("privateEndpoint").is_none());
    }
}

#[test]
fn every_violation_is_one_error_in_its_place() {
    let sampler = Sampler::new(model());
    let mut kinds = BTreeSet::new();
    let mut count = 0;
    for operation in model().operations() {
        for violation in sampler.violations(operation) {
            let found = errors(operation.name, &violation.input);
            let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, [violation.path.as_str()], "{}: {violation:?} {found:?}", operation.name);
            kinds.insert(violation.kind);
            count += 1;
        }
    }
    use ViolationKind as V;
    let all = [
        V::MissingRequired,
        V::UnknownMember,
        V::WrongType,
        V::NullItem,
        V::TooShort,
        V::TooLong,
        V::TooFew,
        V::TooMany,
        V::BelowMinimum,
        V::AboveMaximum,
        V::NotInEnumeration,
        V::PatternMismatch,
        V::WrongKey,
        V::NoArm,
        V::TwoArms,
    ];
    assert_eq!(kinds, BTreeSet::from(all));
    assert!(count > 1000, "{count}");
}

#[test]
fn answers_made_of_everything_have_what_the_model_has() {
    let sampler = Sampler::new(model());
    for operation in model().operations() {
        // The output's own shape, filled, with surprises at the top: what a store that knows more would give.
        let full = sampler.variants_of(operation.output);
        for value in full {
            assert_eq!(model().validate_output(operation, &value), Ok(()), "{} {value}", operation.name);
            let mut more = value.clone();
            more["storedRevision"] = 7.into();
            more["nothing"] = Value::Null;
            assert_eq!(model().output(operation, more), value, "{}", operation.name);
        }
    }
}
