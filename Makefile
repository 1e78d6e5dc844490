# For those who type make: the work is done by CMake (CMakePresets.json) and by script/.
PREFIX ?= /usr/local

all:
	script/build

test:
	script/test

# Installs the program, the library, its header, its pkg-config file and the shell completion under $(DESTDIR)$(PREFIX).
install: all
	DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

.PHONY: all test install
