# SPDX-License-Identifier: BSD-2-Clause
# Meson builds; this file names the usual steps. MESON_OPTIONS is for "meson setup" (-Dlwip_source=DIR, --prefix=...).
BUILD ?= build

.PHONY: all deps build check demo install packages clean format
all: build

deps:
	scripts/deps.sh

build:
	test -f $(BUILD)/build.ninja || meson setup $(BUILD) $(MESON_OPTIONS)
	meson compile -C $(BUILD)

check:
	@scripts/need-root.sh "make check"
	scripts/deps.sh
	scripts/check.sh

demo:
	@scripts/need-root.sh "make demo"
	scripts/deps.sh
	$(MAKE) --no-print-directory build
	scripts/demo.sh $(BUILD)

install: build
	meson install -C $(BUILD) --no-rebuild

# Debian packages, in $(BUILD)/packages.
packages:
	scripts/packages.sh $(BUILD)/packages

format:
	scripts/sources.sh c h | xargs clang-format -i

clean:
	rm -rf build build-asan build-thread
