//! What a notification costs, beside a list behind a reader-writer lock (the peer: what one would
//! write first) and a bare call through a trait object (the floor).

mod dispatch;
mod registration;

criterion::criterion_group!(benches, dispatch::benches, registration::benches);
criterion::criterion_main!(benches);
