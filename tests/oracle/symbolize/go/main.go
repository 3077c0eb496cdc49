// SPDX-License-Identifier: Apache-2.0

// Go with inlining, closures, generics, interfaces, methods and a large standard library behind it.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
)

type number interface{ ~int | ~float64 }

func sum[T number](xs []T) (total T) {
	for _, x := range xs {
		total += double(x)
	}
	return total
}

func double[T number](x T) T { return x + x }

type shape interface{ area() float64 }
type square struct{ side float64 }

func (s square) area() float64 { return power(s.side) }
func power(x float64) float64  { return x * x }

func main() {
	shapes := []shape{square{1}, square{2}}
	total := sum([]int{1, 2, 3})
	for _, s := range shapes {
		total += int(s.area())
	}
	words := strings.Fields("the quick brown fox")
	sort.Slice(words, func(i, j int) bool { return len(words[i]) > len(words[j]) })
	out, err := json.Marshal(map[string]any{"total": total, "words": words})
	if err != nil || len(os.Args) > 5 {
		fmt.Println(http.ListenAndServe("127.0.0.1:0", nil))
	}
	fmt.Println(string(out), sum([]float64{0.5}))
}
