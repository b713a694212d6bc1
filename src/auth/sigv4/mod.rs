//! AWS Signature Version 4: who calls the control plane or a gateway with `AWS_IAM`, and how the gateway signs its own
//! calls to AWS-like services.
//!
//! [`verify`] decides about a request and touches neither network nor clock, [`precheck`] about one whose body is still to come; [`ReplayGuard`] refuses what comes a second
//! time. [`Verifier`] is both together. Derivation of keys and the signature itself are `aws-sigv4`'s; what is here is
//! the strict reading of what a client presents, the canonical request of the receiving side, and the rules around it.
//!
//! Rules that go beyond a right signature:
//!
//! - `host`, the date and every `x-amz-*` header must be signed, so that nothing can be added on the way; of the headers of
//!   MCP all that are sent, or none: most clients sign whatever they send, some only the content type.
//! - The path must be in its shortest form, since signers sign that form whatever they send.
//! - An unknown access key is answered as late as a wrong secret; a wrong session token only after a right signature.
//! - A signature counts for five minutes. Within that time AWS allows repetitions; see [`ReplayGuard`] for which of them
//!   are taken here.

mod canonical;
mod error;
mod instant;
mod keys;
mod presented;
mod replay;
#[cfg(test)]
mod tests;
mod verifier;
mod verify;

pub use error::{Malformed, PayloadFault, ScopeFault, SigV4Error, TokenFault};
pub use keys::{AccessKeyError, AccessKeySpec, AccessKeys, Caller};
pub use presented::Form;
pub use replay::{ReplayGuard, ReplaySettings};
pub use sessiongate_targets::aws::{SignError, Signer, ToSign as Outbound, encode_path};
pub use verifier::Verifier;
pub use verify::{Policy, RequestParts, SERVICE, Verified, precheck, verify};
