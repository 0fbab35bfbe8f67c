//! Every order two or three threads can come in.

use loom::sync::Arc;
use loom::thread;

use super::super::algorithm::Word;
use super::*;

/// How many of two threads get something, in every order.
fn race(algorithm: impl Algorithm + Copy + 'static, taken: u64, expected: usize) {
    loom::model(move || {
        let word = Arc::new(Word::fresh());
        for _ in 0..taken {
            word.take(&algorithm, 1, Duration::ZERO).unwrap();
        }
        let threads = [0, 1].map(|_| {
            let word = Arc::clone(&word);
            thread::spawn(move || word.take(&algorithm, 1, Duration::ZERO).is_ok())
        });
        let won = threads.map(|thread| thread.join().unwrap());
        assert_eq!(won.into_iter().filter(|won| *won).count(), expected);
    });
}

#[test]
fn loom_the_last_token_is_taken_once() {
    race(TokenBucket::new(1.0, 3), 2, 1);
    race(SlidingWindow::new(1.0, 3), 2, 1);
    race(TokenBucket::new(1.0, 3), 1, 2);
    race(SlidingWindow::new(1.0, 3), 1, 2);
}

#[test]
fn loom_what_is_given_back_while_another_takes_is_not_lost() {
    loom::model(|| {
        let bucket = TokenBucket::new(1.0, 2);
        let word = Arc::new(Word::fresh());
        word.take(&bucket, 1, Duration::ZERO).unwrap();
        let giving = {
            let word = Arc::clone(&word);
            thread::spawn(move || word.update(|word| bucket.give_back(word, 1, Duration::ZERO)))
        };
        let took = word.take(&bucket, 1, Duration::ZERO).is_ok();
        giving.join().unwrap();
        assert!(took);
        assert_eq!(bucket.remaining(word.get(), Duration::ZERO), 1);
    });
}
