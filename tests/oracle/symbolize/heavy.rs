// SPDX-License-Identifier: Apache-2.0
// Rust with generics, closures, traits, iterators and a panic path.
use std::collections::{BTreeMap, HashMap};

trait Shape {
    fn area(&self) -> f64;
}
struct Circle<T>(T);
struct Square<T>(T);
impl<T: Copy + Into<f64>> Shape for Circle<T> {
    fn area(&self) -> f64 {
        let r: f64 = self.0.into();
        std::f64::consts::PI * r * r
    }
}
impl<T: Copy + Into<f64>> Shape for Square<T> {
    fn area(&self) -> f64 {
        self.0.into().powi(2)
    }
}

mod words {
    use super::*;
    pub fn count<'a>(text: &'a str) -> BTreeMap<&'a str, usize> {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for word in text.split_whitespace().filter(|w| w.len() > 1) {
            *seen.entry(word).or_insert(0) += 1;
        }
        seen.into_iter().collect()
    }
}

fn fold<I: Iterator<Item = u64>>(items: I) -> u64 {
    items.map(|x| x.wrapping_mul(0x9e3779b97f4a7c15)).fold(1, |a, b| a.rotate_left(5) ^ b)
}

fn main() {
    let n: u32 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(100);
    let shapes: Vec<Box<dyn Shape>> = (0..n)
        .map(|i| -> Box<dyn Shape> {
            if i % 2 == 0 { Box::new(Circle(i)) } else { Box::new(Square(f64::from(i))) }
        })
        .collect();
    let total: f64 = shapes.iter().map(|s| s.area()).sum();
    let counts = words::count("the quick brown fox jumps over the lazy dog the end");
    let mut sorted: Vec<_> = counts.iter().map(|(k, v)| (v, k.to_uppercase())).collect();
    sorted.sort_by(|a, b| b.cmp(a));
    println!("{} {:?} {}", total, sorted, fold((0..u64::from(n)).chain(5..9)));
}
