/*
 * bench_request.h - the bytes of the bench protocol, which bench.h describes.
 */
#ifndef TOOL_BENCH_REQUEST_H
#define TOOL_BENCH_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_REQUEST_SIZE 5
#define BENCH_COUNT_SIZE   8

/* Largest piece a source is asked to write at once. */
#define BENCH_MAX_SIZE (16u << 20)

enum bench_service {
    BENCH_SINK = 'S',
    BENCH_SOURCE = 'G',
    BENCH_ECHO = 'E',
    BENCH_DISCARD = 'D',
    BENCH_COUNT = 'C',
    BENCH_HOLD = 'H'
};

struct bench_request {
    enum bench_service service;
    uint32_t size; /* SOURCE: bytes of each write, 1..BENCH_MAX_SIZE; otherwise of no meaning */
};

void bench_request_encode(const struct bench_request *request, uint8_t out[BENCH_REQUEST_SIZE]);

/* Returns false for what is no request. */
bool bench_request_decode(const uint8_t in[BENCH_REQUEST_SIZE], struct bench_request *out);

void bench_count_encode(uint64_t count, uint8_t out[BENCH_COUNT_SIZE]);
uint64_t bench_count_decode(const uint8_t in[BENCH_COUNT_SIZE]);

#endif
