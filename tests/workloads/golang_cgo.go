// SPDX-License-Identifier: Apache-2.0

// Go that calls C: the work is done in C, on the thread's own stack, and the stack of the goroutine
// that called goes on below runtime.asmcgocall. A 60 % in C called from Go, B 40 % in Go beside it.
// The words of tests/workloads/truth.h apply.
package main

/*
#include "tests/workloads/truth.h"

TRUTH_LEAF(c_leaf)
TRUTH_BUSY(c_inner, c_leaf)

TRUTH_FRAME unsigned long c_outer(unsigned long x)
{
	return c_inner(x) + 1;
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

//go:noinline
func goLeaf(x uint64) uint64 {
	for i := 0; i < C.TRUTH_STEPS; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func inGo(x uint64) uint64 {
	return goLeaf(x) + 1
}

//go:noinline
func inC(x uint64) uint64 {
	return uint64(C.c_outer(C.ulong(x))) + 1
}

//go:noinline
func runUnits(limit time.Duration) uint64 {
	x, seed := uint64(1), uint64(1)
	for begin := time.Now(); time.Since(begin) < limit; {
		for i := 0; i < 100; i++ {
			seed = seed*6364136223846793005 + 1442695040888963407
			if seed>>33%5 < 3 {
				x = inC(x)
			} else {
				x = inGo(x)
			}
		}
	}
	return x
}

func expect() {
	const root = "runtime.goexit*;runtime.main;main.main;main.runUnits;"
	// Goroutines; the scheduler, on the stacks that threads begin with; the start.
	fmt.Println("comm golang-cgo\nroot runtime.goexit*\nroot runtime.mcall*\nroot runtime.mstart*" +
		"\nroot runtime.morestack*\nroot runtime.rt0_go*\nroot _start\nroot _dl_start_user\nbase known")
	fmt.Println("60 " + root + "main.inC;main._Cfunc_c_outer*;runtime.cgocall*;" +
		"runtime.asmcgocall*;_cgo_*_Cfunc_c_outer;c_outer;c_inner;c_leaf")
	fmt.Println("40 " + root + "main.inGo;main.goLeaf")
}

func main() {
	switch {
	case len(os.Args) == 1:
		runUnits(10 * time.Second)
	case len(os.Args) == 2 && os.Args[1] == "--modes":
		fmt.Println()
	case len(os.Args) == 2 && os.Args[1] == "--expect":
		expect()
	case len(os.Args) == 3 && os.Args[1] == "--seconds":
		seconds, err := strconv.ParseFloat(os.Args[2], 64)
		if err == nil && seconds > 0 {
			runUnits(time.Duration(seconds * float64(time.Second)))
			return
		}
		fallthrough
	default:
		fmt.Fprintf(os.Stderr, "usage: %s [--seconds N | --expect | --modes]\n", os.Args[0])
		os.Exit(2)
	}
}
