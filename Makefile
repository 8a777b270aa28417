PREFIX ?= /usr/local
.PHONY: all demo check bench bench-quick bench-docs install format clean
all:     ; @scripts/bootstrap build && cmake --preset release && cmake --build --preset release
demo:    ; @scripts/bootstrap demo && $(MAKE) -s all && scripts/demo
check:   ; @scripts/check
bench:   ; @scripts/bootstrap bench && $(MAKE) -s all && bench/compare --out build/bench && bench/figures --out build/bench
bench-quick: ; @scripts/bootstrap bench && $(MAKE) -s all && bench/check
bench-docs:  ; @bench/figures --draw --out build/bench --copy docs/plots && bench/compare --from build/bench/compare.json --update docs/PERFORMANCE.md --update README.md >/dev/null
install: ; @scripts/bootstrap build && cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) \
           && cmake --build --preset release && cmake --install build/release && { ldconfig 2>/dev/null || true; }
format:  ; @scripts/format
clean:   ; @rm -rf build
