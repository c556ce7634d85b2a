//! The sequence lock of a set, under every schedule.

use std::sync::Arc;

use loom::thread;

use super::sets::Sets;
use super::tag::{Key, Tag};
use crate::addr::Iova;

fn key(number: u64, id: u32) -> Key {
    let tag = Tag::around(Iova::new(number << 12), 12);
    Key { tag, id }
}

/// A set of which one way holds the entry of `key`, with all words 1.
fn sets(key: Key) -> Arc<Sets> {
    let sets = Sets::new(1);
    sets.write(sets.room(key, |_| false), key, [1; 3]);
    Arc::new(sets)
}

#[test]
fn a_reader_never_sees_words_of_two_writes() {
    loom::model(|| {
        let sets = sets(key(1, 1));
        let writer = {
            let sets = sets.clone();
            thread::spawn(move || {
                let key = key(1, 1);
                sets.write(sets.room(key, |_| false), key, [2; 3]);
            })
        };
        if let Ok(found) = sets.read(key(1, 1)) {
            let words = found.expect("it is replaced, never gone");
            assert!(words == [1; 3] || words == [2; 3], "{words:?}");
        }
        writer.join().unwrap();
    });
}

/// The way that holds what the reader looks for gets another's key and words.
#[test]
fn a_reader_never_takes_another_entrys_words() {
    loom::model(|| {
        let sets = sets(key(1, 1));
        let writer = {
            let sets = sets.clone();
            thread::spawn(move || {
                let place = sets.find(key(1, 1)).expect("nobody else writes");
                sets.write(place, key(2, 3), [2; 3]);
            })
        };
        if let Ok(Some(words)) = sets.read(key(1, 1)) {
            assert_eq!(words, [1; 3]);
        }
        writer.join().unwrap();
    });
}
