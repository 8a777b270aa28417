#include "bench_request.h"

static void store_le(uint64_t value, uint8_t *out, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t load_le(const uint8_t *in, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

void bench_request_encode(const struct bench_request *request, uint8_t out[BENCH_REQUEST_SIZE])
{
    out[0] = (uint8_t)request->service;
    store_le(request->size, out + 1, 4);
}

bool bench_request_decode(const uint8_t in[BENCH_REQUEST_SIZE], struct bench_request *out)
{
    out->service = (enum bench_service)in[0];
    out->size = (uint32_t)load_le(in + 1, 4);
    switch (out->service) {
    case BENCH_SOURCE:
        return out->size >= 1 && out->size <= BENCH_MAX_SIZE;
    case BENCH_SINK:
    case BENCH_ECHO:
    case BENCH_DISCARD:
    case BENCH_COUNT:
    case BENCH_HOLD:
        return true;
    }
    return false;
}

void bench_count_encode(uint64_t count, uint8_t out[BENCH_COUNT_SIZE])
{
    store_le(count, out, BENCH_COUNT_SIZE);
}

uint64_t bench_count_decode(const uint8_t in[BENCH_COUNT_SIZE])
{
    return load_le(in, BENCH_COUNT_SIZE);
}
