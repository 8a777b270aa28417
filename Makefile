PREFIX ?= /usr/local
.PHONY: all demo check install format clean
all:     ; @scripts/bootstrap build && cmake --preset release && cmake --build --preset release
demo:    ; @scripts/bootstrap demo && $(MAKE) -s all && scripts/demo
check:   ; @scripts/check
install: ; @scripts/bootstrap build && cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) \
           && cmake --build --preset release && cmake --install build/release && { ldconfig 2>/dev/null || true; }
format:  ; @scripts/format
clean:   ; @rm -rf build
