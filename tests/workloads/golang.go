// SPDX-License-Identifier: Apache-2.0

// Go: A 60 % three calls deep with an inlined function between, B 30 % through an interface and a
// closure, C 10 % in goroutines of their own. The leaves are frameless: they use no stack, so the
// caller is found only by who knows the depth of the stack at each instruction. Go has frame
// pointers and no .eh_frame; built also with -s -w, which leaves only pclntab. The words of
// tests/workloads/truth.h apply.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

const steps = 20000

type chain struct {
	share int
	run   func(uint64) uint64
	stack string
}

//go:noinline
func leafA(x uint64) uint64 {
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func leafB(x uint64) uint64 {
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963409
	}
	return x
}

//go:noinline
func leafC(x uint64) uint64 {
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963411
	}
	return x
}

func inlinedA(x uint64) uint64 {
	return leafA(x+1) ^ 1
}

//go:noinline
func alphaInner(x uint64) uint64 {
	return inlinedA(x+3) + 1
}

//go:noinline
func alphaOuter(x uint64) uint64 {
	var block [64]uint64
	for i := range block {
		block[i] = x
	}
	return alphaInner(x) ^ block[x%64]
}

type burner interface{ burn(x uint64) uint64 }
type square struct{ seed uint64 }

//go:noinline
func (s *square) burn(x uint64) uint64 {
	return apply(func(y uint64) uint64 { return leafB(y+s.seed) ^ 1 }, x) + 1
}

//go:noinline
func apply(f func(uint64) uint64, x uint64) uint64 {
	return f(x) ^ 1
}

var shape burner = &square{1}

//go:noinline
func beta(x uint64) uint64 {
	return shape.burn(x) + 1
}

//go:noinline
func worker(x uint64, done chan<- uint64) {
	done <- leafC(x) + 1
}

//go:noinline
func gamma(x uint64) uint64 {
	done := make(chan uint64)
	go worker(x, done)
	return <-done
}

var chains = []chain{
	{60, alphaOuter, "main.runUnits;main.alphaOuter;main.alphaInner;main.inlinedA_[i];main.leafA"},
	{30, beta, "main.runUnits;main.beta;main.(*square).burn;main.apply;main.(*square).burn.func1;main.leafB"},
	{10, gamma, "main.gamma.*;main.worker;main.leafC"},
}

// Rounds of 100 units in shuffled order until the time is over.
//
//go:noinline
func runUnits(chains []chain, limit time.Duration) uint64 {
	var slots []int
	for i, c := range chains {
		for n := 0; n < c.share; n++ {
			slots = append(slots, i)
		}
	}
	x, seed := uint64(1), uint64(1)
	for begin := time.Now(); time.Since(begin) < limit; {
		for i := len(slots) - 1; i > 0; i-- {
			seed = seed*6364136223846793005 + 1442695040888963407
			j := int(seed>>33) % (i + 1)
			slots[i], slots[j] = slots[j], slots[i]
		}
		for _, slot := range slots {
			x = chains[slot].run(x)
		}
	}
	return x
}

func expect(chains []chain) {
	// Goroutines; the scheduler, on the stacks that threads begin with; the start.
	fmt.Println("comm golang*\nroot runtime.goexit*\nroot runtime.mcall*\nroot runtime.mstart*" +
		"\nroot runtime.morestack*\nroot runtime.rt0_go*\nbase known")
	for _, c := range chains {
		if c.stack[:13] == "main.runUnits" {
			fmt.Printf("%d runtime.goexit*;runtime.main;main.main;%s\n", c.share, c.stack)
		} else {
			fmt.Printf("%d runtime.goexit*;%s\n", c.share, c.stack)
		}
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: %s [--seconds N | --expect | --modes]\n", os.Args[0])
	os.Exit(2)
}

func main() {
	seconds := 10.0
	for i := 1; i < len(os.Args); i++ {
		switch os.Args[i] {
		case "--modes":
			fmt.Println()
			return
		case "--expect":
			expect(chains)
			return
		case "--seconds":
			i++
			if i == len(os.Args) {
				usage()
			}
			value, err := strconv.ParseFloat(os.Args[i], 64)
			if err != nil || value <= 0 {
				usage()
			}
			seconds = value
		default:
			usage()
		}
	}
	runUnits(chains, time.Duration(seconds*float64(time.Second)))
}
