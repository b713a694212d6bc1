//! What the gateway asks of AWS, or of what stands in its place (LocalStack, moto, a mirror): functions and objects.
//!
//! All of it goes through the guarded [`Outbound`](crate::Outbound) and its host map, and is signed by a [`Caller`]: the
//! process itself, or a gateway's role. The credentials of a client never travel on (promise 5).

mod assumed;
mod identity;
pub mod keys;
pub mod lambda;
mod region;
pub mod roles;
pub mod s3;
pub mod signer;
pub mod sts;

pub use identity::{AwsCredentials, AwsIdentity};
pub use keys::{AwsKeys, Caller, GatewayRole, KeyError};
pub use lambda::{Invocation, InvokeError, LambdaArn, LambdaInvoker, NotAnArn, PAYLOAD_LIMIT};
pub use region::is_region;
pub use roles::{RoleKey, Roles};
pub use s3::{NotAnObject, ObjectError, ObjectUri, S3Reader};
pub use signer::{SignError, Signer, ToSign, encode_path};
pub use sts::AssumeError;
