# Every target runs from a fresh checkout on a machine with Rust, Go and a C compiler; only test-oauth-servers needs more. `make`
# alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The tests on a control plane mostly wait: more of them at a time than there are cores. With ten at a time two cores were used
# up, and tests of what happens within a second failed.
TEST_THREADS := 6

DENY_VERSION := 0.20.2
DENY := .cache/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
DENY_CHECKS := bans licenses sources
MUTANTS_VERSION := 27.1.0
MUTANTS := .cache/cargo-mutants-$(MUTANTS_VERSION)/bin/cargo-mutants
MUTATED := $(abspath $(or $(CARGO_TARGET_DIR),target)/mutants)
# Each process, in KiB: a mutant that never stops to collect is ended by that.
MUTANT_MEMORY := 8388608
CRD := crds/syniversetokens.syniverse.dev.yaml
BINARIES := $(or $(CARGO_TARGET_DIR),target)/debug

IMAGE := docker.io/library/syniverse-token-operator
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
ARCH := $(subst aarch64,arm64,$(subst x86_64,amd64,$(shell uname -m)))
IMAGE_TOOL := tools/image/Cargo.toml
PLUGIN := kubectl-syniverse_token-$(VERSION)-linux-$(ARCH).tar.gz
ARCHIVE := target/image/syniverse-token-operator-$(VERSION).oci.tar

step = @printf '\n==> %s\n' '$(1)'

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: control-plane
control-plane: ## Build kube-apiserver, kube-controller-manager, kubectl and etcd into the user's cache, once
	$(call step,control plane binaries (5 minutes the first time on 2 cores))
	@tools/control-plane/build

.PHONY: helm
helm: ## Build Helm into the user's cache, once
	$(call step,helm (4 minutes the first time on 2 cores))
	@tools/control-plane/build helm

.PHONY: hydra
hydra: ## Build Ory Hydra, a real OAuth2 server, into the user's cache, once
	$(call step,hydra (3 minutes the first time on 2 cores))
	@tools/control-plane/build hydra

.PHONY: demo
demo: $(if $(filter current,$(CLUSTER)),,control-plane) ## Show a token rotate (VALIDITY=10s, DURATION=60, CLUSTER=current)
	$(call step,operator and demo)
	cargo build --bin syniverse-token-operator --example demo
	@$(BINARIES)/examples/demo --operator $(BINARIES)/syniverse-token-operator

.PHONY: crds
crds: ## Write crds/ anew from the types
	$(call step,$(CRD))
	cargo run -q -- crd > $(CRD).new
	mv $(CRD).new $(CRD)

.PHONY: chart
chart: helm ## Write what is generated in charts/ anew: the copy of the CRD, the README's tables
	$(call step,charts/)
	UPDATE_DOCS=1 cargo test -q --test chart files

.PHONY: manifests
manifests: helm ## Write manifests/ anew from the chart
	$(call step,manifests/)
	UPDATE_DOCS=1 cargo test -q --test chart the_manifests_are_what_the_chart_renders

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path $(IMAGE_TOOL)

.PHONY: lint
lint: ## Check format and lints, warnings being errors
	$(call step,format)
	cargo fmt --all --check
	cargo fmt --manifest-path $(IMAGE_TOOL) --check
	$(call step,lints)
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path $(IMAGE_TOOL) --target-dir target/image-tool --all-targets -- -D warnings

.PHONY: deny
deny: $(DENY) ## Check dependencies: banned crates, licences, sources (DENY_CHECKS=advisories, yanked crates too: needs the network)
	$(call step,dependencies: $(DENY_CHECKS))
	$(DENY) --all-features --locked check $(DENY_CHECKS)
	$(DENY) --manifest-path $(IMAGE_TOOL) --locked check $(DENY_CHECKS)

$(DENY):
	$(call step,cargo-deny $(DENY_VERSION))
	cargo install cargo-deny --version $(DENY_VERSION) --locked --root .cache/cargo-deny-$(DENY_VERSION)

.PHONY: test
test: lint control-plane helm hydra ## Check format and lints, run every test, those on a real control plane included
	$(call step,build the tests)
	cargo test --workspace --no-run
	$(call step,unit and contract tests and tests on one control plane that they share)
	RUST_TEST_THREADS=$(TEST_THREADS) $(BINARIES)/control-plane exec cargo test --workspace

# The oldest and the newest Kubernetes that the README claims; make test has the one in between.
VERSIONS := $(patsubst tools/control-plane/kubernetes-%,%,$(wildcard tools/control-plane/kubernetes-*))

.PHONY: test-versions
test-versions: control-plane helm hydra $(addprefix test-version-,$(VERSIONS)) ## Run the tests of behaviour and chart on the oldest and the newest Kubernetes (VERSIONS=1.32.13)

test-version-%:
	$(call step,behaviour and chart on Kubernetes $* (its first build takes 5 minutes on 2 cores))
	cargo build --workspace --bins --test behaviour --test chart
	unset KUBEBUILDER_ASSETS; KUBERNETES_VERSION=$* RUST_TEST_THREADS=$(TEST_THREADS) $(BINARIES)/control-plane exec \
	  bash -c '"$$(tools/control-plane/build | sed -n "s/^kubectl //p")" version | grep -F "Server Version: v$*" && \
	    cargo test --no-fail-fast --test behaviour --test chart'

.PHONY: test-prometheus
test-prometheus: control-plane ## Have a real Prometheus read the metrics, judge by the alerts and answer the dashboard, and promtool check them
	$(call step,Prometheus and promtool (their first build takes 5 minutes on 2 cores))
	@tools/control-plane/build prometheus
	cargo test --test prometheus -- --ignored

# Not every module proxy has its module, so it is not pinned and built like the others. Its revision 1be3836, the last one before
# 0.2.0, finds no fault.
DASHBOARD_LINTER := dashboard-linter

.PHONY: lint-dashboard
lint-dashboard: ## Check the dashboard with Grafana's dashboard-linter (DASHBOARD_LINTER=its path)
	$(DASHBOARD_LINTER) lint --strict charts/syniverse-token-operator/files/dashboard.json

.PHONY: dashboard-picture
dashboard-picture: control-plane ## Draw docs/images/dashboard.svg from what the dashboard shows of an outage (2 minutes)
	@tools/control-plane/build prometheus
	DASHBOARD_DATA=$(CURDIR)/target/dashboard.json cargo test --test prometheus -- --ignored an_outage
	cargo run -q --example dashboard-picture -- target/dashboard.json docs/images/dashboard.svg

# What this machine cannot run is said before the tests and after them.
.PHONY: test-oauth-servers
test-oauth-servers: control-plane ## Get tokens from oidc-provider (needs Node and npm) and Keycloak (needs a JDK and Maven)
	$(call step,oidc-provider and Keycloak (fetched the first time: a minute))
	@servers=$$(tools/oauth-servers/build runnable); \
	for server in $$servers; do tools/oauth-servers/build "$$server"; done; \
	set -x; cargo test --test oauth_servers -- --ignored $${servers//-/_}
	@tools/oauth-servers/build runnable >/dev/null

.PHONY: test-node
test-node: control-plane ## Measure how soon a new token is in the files of Pods, on the nodes of KUBECONFIG (25 minutes; SIMULATOR_ADDRESS, NODE_IMAGE, ROTATIONS, SLOW_ROTATIONS, HAND_OVERS)
	$(call step,Pods of $(or $(KUBECONFIG),no cluster: KUBECONFIG is not set))
	cargo test --release --test node -- --ignored --nocapture --test-threads=1

.PHONY: plugin
plugin: ## Pack the plugin of kubectl with its manifest for krew into target/plugin (URL=where it will be downloaded from)
	$(call step,target/plugin)
	cargo build --release --bin syniverse-token-operator
	@rm -rf target/plugin && mkdir -p target/plugin/files
	@cp "$(or $(CARGO_TARGET_DIR),target)/release/syniverse-token-operator" target/plugin/files/kubectl-syniverse_token
	@cp LICENSE target/plugin/files/
	@tar -C target/plugin/files --sort=name --owner=0 --group=0 --mtime=@0 -czf target/plugin/$(PLUGIN) .
	@sum=$$(sha256sum target/plugin/$(PLUGIN)); sed -e 's/VERSION/$(VERSION)/; s/ARCHIVE/$(PLUGIN)/; s/ARCH$$/$(ARCH)/' \
	  -e "s/SHA256/$${sum%% *}/; s|URL|$(or $(URL),https://example.com/releases)|" tools/krew/syniverse-token.yaml \
	  > target/plugin/syniverse-token.yaml
	@ls -l target/plugin/*.*

.PHONY: docs
docs: control-plane ## Write docs/ anew from what a real API server and a real operator say
	$(call step,docs/)
	UPDATE_DOCS=1 cargo test -q --test crd
	UPDATE_DOCS=1 cargo test -q --test pure metrics
	UPDATE_DOCS=1 cargo test -q --test pure audit
	UPDATE_DOCS=1 cargo test -q --test behaviour audit::each
	UPDATE_DOCS=1 cargo test -q -p syniverse-token-core --test pure the_page_lists
	UPDATE_DOCS=1 cargo test -q --test faults bad_inputs
	UPDATE_DOCS=1 cargo test -q --test cli the_page_shows

.PHONY: explore
explore: ## Put faults at every request of every scenario (DOUBLES=5000 pairs, SEED=..., REPLAY=one run)
	$(call step,exploration of crash points)
	$(if $(REPLAY),REPLAY=$(REPLAY) cargo test --test explore -- --nocapture --ignored replay,\
	DOUBLES=$(or $(DOUBLES),5000) cargo test --test explore -- --nocapture --test-threads=1 promise)

.PHONY: explore-pairs
explore-pairs: ## Put pairs of faults into the scenarios (DOUBLES=5000, SEED=...): what make test does not do of make explore
	$(call step,exploration of pairs of crash points)
	DOUBLES=$(or $(DOUBLES),5000) cargo test --test explore -- --nocapture --test-threads=1 no_pair

.PHONY: test-kill
test-kill: control-plane ## Kill operators and their API server at random moments (SEED=...; 4 minutes)
	$(call step,kills)
	cargo test --test kill -- --ignored --nocapture

# Mutants are made in a copy, which is laid anew each time with the present as the time of every file, so that nothing compiled
# for a mutant passes for the original.
.PHONY: mutants
mutants: $(MUTANTS) ## Change each piece of the core and see its tests fail (FILES='core/src/schedule*', SHARD=1/8); goes on where it broke off
	$(call step,mutants of $(or $(FILES),the core)$(if $(SHARD), (shard $(SHARD))) without those that $(MUTATED) knows as caught)
	@rm -rf $(MUTATED)/tree && mkdir -p $(MUTATED)/tree
	@comm -z -23 <(git ls-files -zco --exclude-standard | sort -zu) <(git ls-files -zd | sort -zu) | \
	  tar c --null -T - | tar xm -C $(MUTATED)/tree
	@cd $(MUTATED)/tree; ulimit -v $(MUTANT_MEMORY); files=$$(find $(or $(FILES),core/src) -name '*.rs' -printf '%s --file=%p\n' | \
	  sort -rn | awk -v shard=$(or $(SHARD),1/1) 'split(shard, of, "/") && NR % of[2] == of[1] % of[2] { print $$2 }'); \
	CARGO_TARGET_DIR=$(MUTATED)/build nice -n 15 $(abspath $(MUTANTS)) mutants --package syniverse-token-core \
	  --in-place --iterate --output $(MUTATED) $${files:?none in this shard} || { status=$$?; [[ $$status = [23] ]] || exit $$status; }
	@survivors=$$(comm -23 <(sed -E 's/:[0-9]+:[0-9]+:/:/' $(MUTATED)/mutants.out/missed.txt | sort) \
	  <(sed -n 's/^| `\(core[^`]*\)`.*/\1/p' docs/mutants.md | sort)); \
	[[ -z $$survivors ]] || { printf '\nNo test sees these, and docs/mutants.md does not say why none can:\n%s\n' "$$survivors"; exit 1; }

$(MUTANTS):
	$(call step,cargo-mutants $(MUTANTS_VERSION))
	cargo install cargo-mutants --version $(MUTANTS_VERSION) --locked --root .cache/cargo-mutants-$(MUTANTS_VERSION)

# The last commit whose states have format 1.
FROM := 5416caf
OLD := target/upgrade/$(FROM)

.PHONY: test-upgrade
test-upgrade: control-plane ## Replace an older operator by this one amid rotations, and go back (FROM=5416caf)
	$(call step,the operator of $(FROM))
	[ -d $(OLD)/source ] || { mkdir -p $(OLD)/source && git archive $(FROM) | tar x -C $(OLD)/source; }
	cargo build --manifest-path $(OLD)/source/Cargo.toml --target-dir $(OLD)/target --bin syniverse-token-operator
	$(call step,upgrade and the way back)
	OLD_OPERATOR=$(CURDIR)/$(OLD)/target/debug/syniverse-token-operator cargo test --test upgrade -- --ignored --nocapture

.PHONY: bench-rotation
bench-rotation: control-plane ## Measure how late rotations are and what they cost (4 minutes)
	$(call step,operator and benchmark as a release)
	cargo bench --bench rotation

.PHONY: bench-restart
bench-restart: control-plane ## Measure what a restart costs with a thousand fresh tokens (2 minutes)
	$(call step,operator and benchmark as a release)
	cargo bench --bench restart

.PHONY: bench-session
bench-session: control-plane ## Measure how long a dead token is held when sessions are extended, and what that costs (4 minutes)
	$(call step,operator and benchmark as a release)
	cargo bench --bench session

.PHONY: bench-neighbours
bench-neighbours: control-plane ## Measure what bad resources of one namespace cost another one (15 minutes; CASE=part of a line, OPERATOR=another binary)
	$(call step,operator and benchmark as a release)
	cargo bench --bench neighbours

# Cargo passes these variables, which make exports, on to the benchmark: benches/scale/settings.rs has them all.
.PHONY: bench-scale
bench-scale: control-plane ## Measure many resources: start, rest, restart, rotations (SIZE=1000 VALIDITY=120s BUDGET=50 SHARDS=1 REPLICAS=2 NAMESPACES=10 LATENCY=100ms-300ms API_DELAY=50ms SPREAD=true DURATION=4m DEADLINE=10m OPERATOR=another binary JSON=file)
	$(call step,operator and benchmark as a release)
	cargo bench --bench scale

.PHONY: bench-standby
bench-standby: control-plane ## Measure whether two applications or two scopes that take turns leave a gap, amid kills (5 minutes; DURATION=60s KILLS=5 SEED=...)
	$(call step,operator and benchmark as a release)
	cargo bench --bench standby

.PHONY: image
image: ## Build the image with docker, podman or buildah (IMAGE=name without tag)
	@builder=$$(for it in docker podman buildah; do "$$it" info >/dev/null 2>&1 && echo "$$it" && break; done) || \
	  { echo "Neither docker, podman nor buildah works here: make image-oci needs none of them." >&2; exit 1; }; \
	epoch=$$(git log -1 --format=%ct); \
	set -x; "$$builder" build --tag $(IMAGE):$(VERSION) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$epoch" \
	  --build-arg CREATED="$$(date -u -d "@$$epoch" +%Y-%m-%dT%H:%M:%SZ)" .

.PHONY: image-oci
image-oci: ## Write the image as an OCI archive, without docker or the like (IMAGE=name, ARCH="amd64 arm64")
	$(call step,$(ARCHIVE) for $(ARCH))
	for arch in $(ARCH); do tools/image/build "$$arch" "target/image/$$arch"; done
	@tools/image/pack $(ARCHIVE) $(IMAGE):$(VERSION) $(foreach arch,$(ARCH),$(arch)=target/image/$(arch))

.PHONY: clean
clean: ## Remove what cargo built; the caches of control plane and tools stay
	cargo clean
