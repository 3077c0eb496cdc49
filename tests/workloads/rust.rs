// SPDX-License-Identifier: Apache-2.0
//! Rust without frame pointers: A 60 % through generics, B 30 % through a trait object, C 10 %
//! through a boxed closure. The words of tests/workloads/truth.h apply.

use std::hint::black_box;
use std::time::{Duration, Instant};

const STEPS: u32 = 20_000;
const CHAINS: [(u32, fn(u64) -> u64, &str); 3] = [
    (
        60,
        alpha,
        "rust::alpha*;rust::alpha_generic*;rust::alpha_inner*;rust::leaf_a*",
    ),
    (30, beta, "rust::beta*;*rust::Circle*burn*;rust::leaf_b*"),
    (
        10,
        gamma,
        "rust::gamma*;rust::call_boxed*;rust::gamma*closure*;rust::leaf_c*",
    ),
];

// The addends differ: the compiler makes one function of equal ones.
macro_rules! leaf {
    ($name:ident, $addend:expr) => {
        #[inline(never)]
        fn $name(mut x: u64) -> u64 {
            for _ in 0..STEPS {
                x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add($addend));
            }
            x
        }
    };
}
leaf!(leaf_a, 1442695040888963407);
leaf!(leaf_b, 1442695040888963409);
leaf!(leaf_c, 1442695040888963411);

#[inline(never)]
fn alpha_inner<T: Into<u64>>(x: T) -> u64 {
    leaf_a(x.into()) ^ black_box(1)
}

#[inline(never)]
fn alpha_generic<T: Into<u64>, F: Fn(u64) -> T>(x: u64, make: F) -> u64 {
    alpha_inner(make(x)) ^ black_box(1)
}

#[inline(never)]
fn alpha(x: u64) -> u64 {
    alpha_generic(x, |y| y as u32) ^ black_box(1)
}

trait Shape {
    fn burn(&self, x: u64) -> u64;
}

struct Circle(u64);

impl Shape for Circle {
    #[inline(never)]
    fn burn(&self, x: u64) -> u64 {
        leaf_b(x + (self.0 & 1)) ^ black_box(1)
    }
}

#[inline(never)]
fn beta(x: u64) -> u64 {
    let shape: Box<dyn Shape> = black_box(Box::new(Circle(x)));
    shape.burn(x >> 1) ^ black_box(1)
}

#[inline(never)]
fn call_boxed(f: &dyn Fn(u64) -> u64, x: u64) -> u64 {
    f(x) ^ black_box(1)
}

#[inline(never)]
fn gamma(x: u64) -> u64 {
    let seed = black_box(x >> 1);
    let f = move |y: u64| leaf_c((y >> 1) + seed) ^ black_box(1);
    call_boxed(black_box(&f), x) ^ black_box(1)
}

/// Rounds of 100 units in shuffled order until the time is over.
#[inline(never)]
fn run_units(limit: Duration) -> u64 {
    let begin = Instant::now();
    let mut slots: Vec<usize> = (0..CHAINS.len())
        .flat_map(|i| std::iter::repeat(i).take(CHAINS[i].0 as usize))
        .collect();
    let (mut x, mut seed) = (1u64, 1u64);
    while begin.elapsed() < limit {
        for i in (1..slots.len()).rev() {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            slots.swap(i, (seed >> 33) as usize % (i + 1));
        }
        for &slot in &slots {
            x = CHAINS[slot].1(x);
        }
    }
    x
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut seconds = 10.0;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (),
        ["--modes"] => return println!(),
        ["--expect"] => {
            println!("comm rust");
            for (share, _, chain) in CHAINS {
                println!("{share} _start;*;main;*;rust::main*;rust::run_units*;{chain}");
            }
            return;
        }
        ["--seconds", s] if s.parse().unwrap_or(0.0) > 0.0 => seconds = s.parse().unwrap(),
        _ => {
            eprintln!("usage: rust [--seconds N | --expect | --modes]");
            std::process::exit(2);
        }
    }
    black_box(run_units(Duration::from_secs_f64(seconds)));
}
