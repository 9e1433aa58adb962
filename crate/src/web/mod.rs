//! stub
pub mod event_loop { pub async fn turn() {} }
