//! Tests of the rules: inputs in, effects out.
