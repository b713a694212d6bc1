//! What the gateway asks of AWS, or of what stands in its place (LocalStack, moto, a mirror): functions and objects.
//!
//! All of it goes through the guarded [`Outbound`](crate::Outbound) and its host map, and is signed with the gateway's own
//! credentials: those of a client never travel on (promise 5).

mod identity;
pub mod lambda;
pub mod s3;
pub mod signer;

pub use identity::{AwsCredentials, AwsIdentity};
pub use lambda::{Invocation, InvokeError, LambdaArn, LambdaInvoker, NotAnArn};
pub use s3::{NotAnObject, ObjectError, ObjectUri, S3Reader};
pub use signer::{SignError, Signer, ToSign, encode_path};
