"""Every layout: complete, built and run as its build system does it; what is not here, by the part that it uses."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.reference_models import own_models
from tinyops.emit.c import emit_library, layouts, library_sources, next_command
from tinyops.emit.c.layout import layout, read_layout
from tinyops.emit.files import write_files
from tinyops.emit.golden import make_golden
from tinyops.errors import TinyopsError, UsageError
from tinyops.features import ModelFeatures, read_settings
from tinyops.lower.compile import compile_model
from tinyops.resources import data_dir

pytestmark = pytest.mark.slow

PASSED = "0 mismatching bytes: passed"
_STRICT = ["-Wall", "-Wextra", "-Werror"]

_ARDUINO_H = """
#pragma once
#include <cstdio>
#include <cstdlib>
inline unsigned long micros() { static unsigned long now; return now += 10; }
inline void delay(unsigned long) { std::exit(0); }
struct Line {
    void begin(unsigned long) {}
    void print(const char *text) { std::fputs(text, stdout); }
    void print(unsigned long value) { std::printf("%lu", value); }
    void print(unsigned value) { std::printf("%u", value); }
    void println(const char *text) { std::puts(text); }
};
extern Line Serial;
"""
_ARDUINO_MAIN = """
#include "Arduino.h"
Line Serial;
void setup();
void loop();
int main() { setup(); for (;;) { loop(); } }
"""

_ZEPHYR = """
file(STRINGS ${CMAKE_SOURCE_DIR}/prj.conf settings REGEX "^CONFIG_")
foreach(setting IN LISTS settings)
    string(REGEX MATCH "^(CONFIG_[A-Z0-9_]+)=(.*)$" found ${setting})
    set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
enable_language(C)
add_executable(app)
add_library(zephyr_interface INTERFACE)
target_link_libraries(app PRIVATE zephyr_interface)
macro(zephyr_include_directories)
    foreach(folder ${ARGN})
        target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
    endforeach()
endmacro()
macro(zephyr_library)
    set(ZEPHYR_CURRENT_LIBRARY the_module)
    add_library(the_module STATIC)
    target_link_libraries(the_module PRIVATE zephyr_interface)
    target_link_libraries(app PRIVATE the_module)
endmacro()
macro(zephyr_library_sources)
    target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
    target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
foreach(module IN LISTS EXTRA_ZEPHYR_MODULES)
    add_subdirectory(${module}/zephyr ${CMAKE_BINARY_DIR}/module)
endforeach()
"""

_IDF = """
macro(project name)
    _project(${name} C)
    add_library(esp_timer INTERFACE)
    target_include_directories(esp_timer INTERFACE $ENV{IDF_PATH}/include)
    foreach(component ${EXTRA_COMPONENT_DIRS} ${CMAKE_SOURCE_DIR}/main)
        get_filename_component(path ${component} ABSOLUTE)
        get_filename_component(COMPONENT_LIB ${path} NAME)
        add_subdirectory(${path} ${CMAKE_BINARY_DIR}/${COMPONENT_LIB})
    endforeach()
    add_executable(firmware $ENV{IDF_PATH}/startup.c)
    target_link_libraries(firmware PRIVATE main)
endmacro()
function(idf_component_register)
    cmake_parse_arguments(PARSE_ARGV 0 c "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS")
    add_library(${COMPONENT_LIB} STATIC ${c_SRCS})
    target_include_directories(${COMPONENT_LIB} PUBLIC ${c_INCLUDE_DIRS} PRIVATE ${c_PRIV_INCLUDE_DIRS})
    target_link_libraries(${COMPONENT_LIB} PUBLIC esp_timer ${built})
    set(built ${built} ${COMPONENT_LIB} PARENT_SCOPE)
    get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    if(name STREQUAL "main")
        target_link_libraries(main PUBLIC component)
    endif()
endfunction()
"""

_RIOT_APPLICATION = """
MODULE_DIR := $(firstword $(wildcard $(addsuffix /$(USEMODULE),$(EXTERNAL_MODULE_DIRS))))
LAST_MAKEFILEDIR = $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
include $(MODULE_DIR)/Makefile.dep
include $(MODULE_DIR)/Makefile.include
export BINDIR := $(CURDIR)/bin
export INCLUDES := $(addprefix -I,$(USEMODULE_INCLUDES))
export RIOTBASE

all:
	mkdir -p $(BINDIR)/$(USEMODULE)
	$(MAKE) -C $(MODULE_DIR)
	$(CC) $(INCLUDES) -o $(BINDIR)/$(APPLICATION) main.c $(BINDIR)/$(USEMODULE).a
"""
_RIOT_BASE = """
OBJECTS := $(SRC:%.c=$(BINDIR)/$(MODULE)/%.o)

$(BINDIR)/$(MODULE).a: $(OBJECTS)
	$(AR) rcs $@ $^

$(OBJECTS): $(BINDIR)/$(MODULE)/%.o: %.c
	$(CC) -std=c11 -Wall -Wextra -Werror $(CFLAGS) $(INCLUDES) -c -o $@ $(abspath $<)
"""


def _run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _cmake(source: Path, build: Path, *options: str, **environment: str) -> None:
    _run("cmake", "-S", source, "-B", build, f"-DCMAKE_C_FLAGS={' '.join(_STRICT)}", *options, **environment)
    _run("cmake", "--build", build, **environment)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


#: Models that are written with a front end, so that every build system compiles and runs one.
_FEATURES = {"motions": {"kind": "imu", "axes": 6, "scale": 0.01, "every": 30}}


def _emit(path: Path, name: str, folder: Path) -> int:
    """Write the library of a model; how many C files it has."""
    compiled = compile_model(path, name=path.stem)
    tensors = [port.tensor for port in compiled.program.inputs]
    table = _FEATURES.get(path.stem)
    features = ModelFeatures.of(read_settings(table, "test"), tensors) if table else None
    golden = make_golden(compiled.model, 3, features=features)
    write_files(folder, emit_library(compiled.program, golden, name, features=features))
    return len(library_sources(compiled.program, features))


@pytest.fixture(params=own_models(), ids=lambda path: path.stem)
def model(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def test_names() -> None:
    names = ["plain", "arduino", "cmake", "esp-idf", "make", "platformio", "riot-module", "zephyr"]
    assert list(layouts()) == names
    with pytest.raises(UsageError, match="there is no layout bazel"):
        layout("bazel")


@pytest.mark.parametrize("text", ["summary = 3", "= 1", 'summary = ""\nheaders = "."\nelse = 1'])
def test_wrong_description(text: str, tmp_path: Path) -> None:
    with pytest.raises(TinyopsError) as caught:
        read_layout(_write(tmp_path / "layout.toml", text))
    assert caught.value.where == str(tmp_path / "layout.toml")


@pytest.mark.parametrize("name", layouts())
def test_the_same_library_in_every_layout(name: str) -> None:
    compiled = compile_model(own_models()[0], name="net_v2")
    golden = make_golden(compiled.model, 2)
    files = emit_library(compiled.program, golden, name)
    assert files == emit_library(compiled.program, golden, name)
    plain = {Path(path).name: text for path, text in emit_library(compiled.program).items()}
    assert {Path(path).name: text for path, text in emit_library(compiled.program, None, name).items()} == plain
    for path, text in files.items():
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts
        assert "{{" not in text
        assert "{%" not in text
        if Path(path).name == "LICENSE":
            assert text == (data_dir("models").parent / "LICENSE").read_text()
        elif Path(path).parent.name != "kernels":
            assert "Generated by tinyops" in text, path
    assert name == "plain" or "LICENSE" in files
    assert "net_v2" in files["README.md"]
    assert "{{" not in next_command(compiled.program, name, "'a folder'")


def test_file_names_cannot_add_lines() -> None:
    compiled = compile_model(own_models()[0], name="net")
    program = dataclasses.replace(compiled.program, metadata={"source": "evil\nall:\n\techo */ owned"})
    for name in layouts():
        texts = emit_library(program, make_golden(compiled.model, 1), name).values()
        assert any("evil?all:" in text for text in texts)
        assert not any("evil\n" in text or "echo */" in text for text in texts)


@needs_cmake
def test_cmake(model: Path, tmp_path: Path) -> None:
    """Its own test, then the example against the installed package."""
    _emit(model, "cmake", tmp_path / "lib")
    _cmake(tmp_path / "lib", tmp_path / "build")
    assert "100% tests passed" in _run("ctest", "--test-dir", tmp_path / "build")
    _run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    shutil.copytree(tmp_path / "lib" / "example", tmp_path / "user")
    shutil.rmtree(tmp_path / "lib")
    _cmake(tmp_path / "user", tmp_path / "user-build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}")
    assert PASSED in _run(tmp_path / "user-build" / f"{model.stem}_example")


@needs_make
def test_make(model: Path, tmp_path: Path) -> None:
    """Its own test, the installed library, and the fragment from another folder."""
    _emit(model, "make", tmp_path / "lib")
    assert PASSED in _run("make", "-C", tmp_path / "lib", "test", "CFLAGS=-O1 -Werror")
    _run("make", "-C", tmp_path / "lib", "install", "PREFIX=/opt/net", f"DESTDIR={tmp_path / 'stage'}")
    stage = tmp_path / "stage" / "opt" / "net"
    installed = sorted(str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file())
    name = model.stem
    front_end = [f"include/{name}_features.h", "include/to_imu.h"] if name in _FEATURES else []
    assert installed == [
        f"include/{name}.h",
        *front_end,
        f"lib/lib{name}.a",
        f"lib/pkgconfig/{name}.pc",
        f"share/licenses/{name}/LICENSE",
    ]
    pc = (stage / "lib" / "pkgconfig" / f"{name}.pc").read_text()
    assert "libdir=/opt/net/lib\n" in pc
    assert "@" not in pc
    prefix = name.upper()
    makefile = (
        f"include lib/{name}.mk\nuse: lib/example/main.c $({prefix}_SOURCES)\n\t$(CC) $({prefix}_CFLAGS) -o $@ $^\n"
    )
    _write(tmp_path / "Makefile", makefile)
    _run("make", "-C", tmp_path, "use")
    assert PASSED in _run(tmp_path / "use")


def _as_arduino_does(library: Path, headers: Path, sketch: Path, build: Path) -> str:
    """C of the library as C, the sketch as C++ with the core's header, one program that runs one loop()."""
    _write(build / "Arduino.h", _ARDUINO_H)
    main = _write(build / "main.cpp", _ARDUINO_MAIN)
    objects = []
    for source in sorted((library / "src").rglob("*.c")):
        objects.append(build / f"{source.stem}.o")
        _run("gcc", "-std=gnu11", "-Os", *_STRICT, f"-I{headers}", "-c", source, "-o", objects[-1])
    flags = ["-std=gnu++17", *_STRICT, f"-I{build}", f"-I{headers}"]
    _run("g++", *flags, "-x", "c++", sketch, main, "-x", "none", *objects, "-o", build / "sketch")
    return _run(build / "sketch")


def _properties(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@needs_cxx
def test_arduino(model: Path, tmp_path: Path) -> None:
    _emit(model, "arduino", tmp_path / "lib")
    title = model.stem.capitalize()
    fields = _properties(tmp_path / "lib" / "library.properties")
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(fields)
    assert all(fields.values())
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", fields["name"])
    assert fields["category"] == "Data Processing"  # one of the list in Arduino's library specification
    assert all((tmp_path / "lib" / "src" / header).is_file() for header in fields["includes"].split(","))
    keywords = (tmp_path / "lib" / "keywords.txt").read_text().splitlines()[1:]
    header = "".join(path.read_text() for path in (tmp_path / "lib" / "src").glob(f"{model.stem}*.h"))
    for line in keywords:
        word, kind = line.split("\t")
        assert kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")
        assert re.search(rf"\b{word}\b", header)
    sketch = tmp_path / "lib" / "examples" / title / f"{title}.ino"
    assert PASSED in _as_arduino_does(tmp_path / "lib", tmp_path / "lib" / "src", sketch, tmp_path / "build")


@needs_cxx
def test_platformio(model: Path, tmp_path: Path) -> None:
    _emit(model, "platformio", tmp_path / "lib")
    manifest = json.loads((tmp_path / "lib" / "library.json").read_text())
    assert manifest["name"] == model.stem
    assert manifest["license"] == "Apache-2.0"
    assert (tmp_path / "lib" / manifest["build"]["includeDir"] / manifest["headers"]).is_file()
    (example,) = manifest["examples"]
    base = tmp_path / "lib" / example["base"]
    assert sorted(str(p.relative_to(base)) for p in base.rglob("*") if p.is_file()) == sorted(example["files"])
    library = re.search(r"^lib_deps = (\w+)=symlink://(.*)$", (base / "platformio.ini").read_text(), re.MULTILINE)
    assert library is not None
    assert (library[1], (base / library[2]).resolve()) == (model.stem, (tmp_path / "lib").resolve())
    headers = tmp_path / "lib" / "include"
    assert PASSED in _as_arduino_does(tmp_path / "lib", headers, base / "src" / "main.cpp", tmp_path / "build")


@needs_cmake
def test_zephyr(model: Path, tmp_path: Path) -> None:
    """The sample with the part of Zephyr's CMake functions that it uses; without the option nothing is built."""
    name = model.stem
    sources = _emit(model, "zephyr", tmp_path / "lib")
    module = (tmp_path / "lib" / "zephyr" / "module.yml").read_text()
    for key, file in (("cmake", "CMakeLists.txt"), ("kconfig", "")):
        found = re.search(rf"^  {key}: (\S+)$", module, re.MULTILINE)
        assert found is not None
        assert (tmp_path / "lib" / found[1] / file).is_file()
    option = f"TINYOPS_{name.upper()}"
    assert f"\nconfig {option}\n\tbool " in (tmp_path / "lib" / "zephyr" / "Kconfig").read_text()
    base = _write(tmp_path / "zephyr" / "ZephyrConfig.cmake", _ZEPHYR).parent
    sample = tmp_path / "lib" / "samples" / name
    _cmake(sample, tmp_path / "build", f"-DZephyr_DIR={base}", ZEPHYR_BASE=str(base))
    output = _run(tmp_path / "build" / "app")
    expected = re.search(r'regex:\n +- "(.*)"', (sample / "sample.yaml").read_text())
    assert expected is not None
    assert expected[1] in output
    assert len(list((tmp_path / "build" / "module").rglob("*.o"))) == sources
    _write(sample / "prj.conf", "")
    _run("cmake", "-S", sample, "-B", tmp_path / "without", f"-DZephyr_DIR={base}", ZEPHYR_BASE=str(base))
    assert "the_module" not in _run("cmake", "--build", tmp_path / "without", "--target", "help")


@needs_cmake
def test_esp_idf(model: Path, tmp_path: Path) -> None:
    """The example project with the part of ESP-IDF's CMake functions that it uses."""
    sources = _emit(model, "esp-idf", tmp_path / "component")
    manifest = (tmp_path / "component" / "idf_component.yml").read_text()
    assert re.search(r'^version: "\d+\.\d+\.\d+"$', manifest, re.MULTILINE)
    assert re.search(r'^license: "Apache-2\.0"$', manifest, re.MULTILINE)
    idf = tmp_path / "idf"
    _write(idf / "tools" / "cmake" / "project.cmake", _IDF)
    _write(idf / "include" / "esp_timer.h", "#include <stdint.h>\nint64_t esp_timer_get_time(void);\n")
    clock = '#include "esp_timer.h"\nint64_t esp_timer_get_time(void) { static int64_t now; return now += 30; }\n'
    _write(idf / "startup.c", clock + "void app_main(void);\nint main(void) { app_main(); return 0; }\n")
    project = tmp_path / "component" / "examples" / model.stem
    _cmake(project, tmp_path / "build", IDF_PATH=str(idf))
    output = _run(tmp_path / "build" / "firmware")
    assert PASSED in output
    assert "10 us per invocation" in output
    assert len(list((tmp_path / "build" / "component").rglob("*.o"))) == sources


@needs_make
def test_riot_module(model: Path, tmp_path: Path) -> None:
    """The example application with the part of RIOT's Makefiles that it uses."""
    sources = _emit(model, "riot-module", tmp_path / "lib")
    riot = tmp_path / "RIOT"
    _write(riot / "Makefile.include", _RIOT_APPLICATION)
    _write(riot / "Makefile.base", _RIOT_BASE)
    example = tmp_path / "lib" / "example"
    _run("make", "-C", example, RIOTBASE=str(riot))
    assert PASSED in _run(example / "bin" / f"{model.stem}_example")
    assert len(list((example / "bin" / model.stem).glob("*.o"))) == sources
