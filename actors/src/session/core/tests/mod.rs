//! Tests of the rules: inputs in, effects out, and a disk in memory to start again from at any point.

mod bounds;
mod calls;
mod crash;
mod elicitation;
mod failures;
mod fixture;
mod lists;
mod progress;
mod random;
mod sessions;
mod standing;
mod streams;
mod told;
