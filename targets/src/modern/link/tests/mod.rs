mod crash;
mod listening;
mod requests;
mod rounds;
mod support;
mod tasks;
