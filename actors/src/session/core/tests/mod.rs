//! Tests of the rules: inputs in, effects out, and a disk in memory to start again from at any point.

mod again;
mod bounds;
mod calls;
mod crash;
mod elicitation;
mod failures;
mod fixture;
mod followed;
mod lists;
mod names;
mod progress;
mod random;
mod resources;
mod sessions;
mod standing;
mod streams;
mod tasks;
mod told;
mod waiting;
