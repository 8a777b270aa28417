package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of less than 2 % width: 64 to each power of two of
// nanoseconds. It is not safe for concurrent use; workers have one each and merge. The buckets
// are made when first needed: ten thousand idle workers must not show up in the memory figures.
type histogram struct {
	counts []int64
	total  int64
}

const histogramBuckets = 64 * 64

func (h *histogram) add(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]int64, histogramBuckets)
	}
	h.counts[bucketOf(uint64(d))]++
	h.total++
}

func (h *histogram) merge(o *histogram) {
	if h.counts == nil && o.counts != nil {
		h.counts = make([]int64, histogramBuckets)
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

func bucketOf(ns uint64) int {
	if ns < 64 {
		return int(ns)
	}
	e := bits.Len64(ns) - 7 // so that ns>>e has seven bits, the first of them set
	return (e+1)*64 + int(ns>>e) - 64
}

func bucketMiddle(i int) float64 {
	if i < 64 {
		return float64(i)
	}
	e := uint(i/64 - 1)
	return (float64(i%64+64) + 0.5) * float64(uint64(1)<<e)
}

// quantile returns the q-quantile in microseconds, 0 when nothing was counted.
func (h *histogram) quantile(q float64) float64 {
	if h.total == 0 {
		return 0
	}
	rank := int64(q * float64(h.total-1))
	for i, n := range h.counts {
		if rank -= n; rank < 0 {
			return bucketMiddle(i) / 1000
		}
	}
	return 0
}

func bucketEnd(i int) float64 {
	if i < 64 {
		return float64(i + 1)
	}
	return float64(i%64+65) * float64(uint64(1)<<uint(i/64-1))
}

// list returns the buckets that are not empty: their upper end in microseconds, and their count.
func (h *histogram) list() [][2]float64 {
	var buckets [][2]float64
	for i, n := range h.counts {
		if n > 0 {
			buckets = append(buckets, [2]float64{bucketEnd(i) / 1000, float64(n)})
		}
	}
	return buckets
}
