//! What the chart makes of its values, without a cluster.

use crate::helm::{CHART, Helm, Objects};
use serde_json::{Value, json};
use syniverse_token_core::api;

/// One entry of each form.
const HOSTS: [&str; 8] = [
    "*",
    "sma.example.com",
    "sma.example.com:8443/api/v2/",
    "2001:db8::1",
    "[2001:db8::1]:8443/api",
    "team-a=sma.example.com/",
    "team-a=*",
    "10.0.0.1:8443",
];

/// What a Pod can do without.
const MAY_BE_LACKING: [&str; 6] =
    ["livenessProbe", "readinessProbe", "resources", "podSecurityContext", "securityContext", "affinity"];

async fn rendered(values: Value) -> Objects {
    Helm::offline().template(&values).await.unwrap()
}

async fn complaint(values: Value) -> String {
    Helm::offline().template(&values).await.err().unwrap_or_else(|| panic!("{values} is accepted"))
}

#[tokio::test]
async fn helm_finds_no_fault_with_the_chart() {
    let said = Helm::offline().run(&["lint", "--strict", CHART]).await.unwrap();
    assert!(!said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
}

#[tokio::test]
async fn the_definition_is_that_of_the_code_and_is_kept() {
    let objects = rendered(json!({})).await;
    let definition = objects.the("CustomResourceDefinition");
    assert_eq!(definition["spec"], serde_json::to_value(api::crd()).unwrap()["spec"]);
    let kept = json!({"helm.sh/resource-policy": "keep", "kustomize.toolkit.fluxcd.io/prune": "disabled",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false"});
    assert_eq!(definition["metadata"]["annotations"], kept);
    let objects = rendered(json!({"crds": {"keep": false}})).await;
    assert!(objects.the("CustomResourceDefinition")["metadata"]["annotations"].is_null());
}

#[tokio::test]
async fn a_misspelt_or_impossible_value_is_refused_and_named() {
    for (values, says) in [
        (json!({"replica": 3}), "'replica'"),
        (json!({"image": {"tags": "1"}}), "'tags'"),
        (json!({"leaderElection": {"leaseDurationSeconds": 15}}), "'leaseDurationSeconds'"),
        (json!({"networkPolicy": {"dns": {"too": []}}}), "'too'"),
        (json!({"securityContext": {"runAsUsr": 1}}), "'runAsUsr'"),
        (json!({"affinity": {"nodeAfinity": {}}}), "'nodeAfinity'"),
        (json!({"callTimeout": 10}), "/callTimeout"),
        (json!({"callTimeout": "1d"}), "/callTimeout"),
        (json!({"logLevel": "loud"}), "/logLevel"),
        (json!({"auditLog": "audit.log"}), "/auditLog"),
        (json!({"otlpEndpoint": "collector:4317"}), "/otlpEndpoint"),
        (json!({"otlpEndpoint": "http://a:b@collector"}), "/otlpEndpoint"),
        (json!({"tokenMetrics": "some"}), "/tokenMetrics"),
        (json!({"propagation": {"pod": true}}), "'pod'"),
        (json!({"propagation": {"restart": "Listed"}}), "/propagation/restart"),
        (json!({"shards": 0}), "/shards"),
        (json!({"shards": 101}), "/shards"),
        (json!({"podLabels": {"syniverse.dev/shard": "2"}}), "/podLabels"),
        (json!({"endpointHosts": ["https://sma.example.com"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["sma.example.com/a%2fb"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["sma.example.com//a"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["*.example.com"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["sma.example.com:99999"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["sma.example.com/a/../b"]}), "/endpointHosts/0"),
        (json!({"endpointHosts": ["Team=sma.example.com"]}), "/endpointHosts/0"),
        (json!({"enabled": false}), "enabled: false means nothing to this chart"),
        (json!({"global": {"imageRegistry": 5}}), "/global/imageRegistry"),
        (json!({"global": {"imagePullSecrets": [{"nam": "a"}]}}), "/global/imagePullSecrets/0"),
        (json!({"privateEndpoints": ["10.0.0.0"]}), "/privateEndpoints/0"),
        (json!({"watchNamespaces": ["Not_A_Namespace"]}), "/watchNamespaces/0"),
        (json!({"allowedSecretMetadata": ["a b"]}), "/allowedSecretMetadata/0"),
        (json!({"allowedSecretMetadata": ["!"]}), "/allowedSecretMetadata/0"),
        (json!({"image": {"digest": "latest"}}), "/image/digest"),
        (json!({"privateEndpoints": ["10.0.0.0/99"]}), "/privateEndpoints/0"),
        (json!({"listenAddress": "999.0.0.1"}), "/listenAddress"),
        (json!({"fullnameOverride": "Not_A_Name"}), "/fullnameOverride"),
        (json!({"podLabels": {"app.kubernetes.io/name": "mine"}}), "/podLabels"),
        (json!({"replicas": 2, "leaderElection": {"enabled": false}}), "leaderElection.enabled"),
        (json!({"caBundle": {"configMap": {"name": "a"}, "secret": {"name": "b"}}}), "caBundle.secret.name"),
        (json!({"proxy": {"url": "http://a", "fromSecret": {"name": "b"}}}), "proxy.fromSecret.name"),
        (json!({"prometheusRule": {"runbookURL": "docs"}}), "/prometheusRule/runbookURL"),
        (json!({"prometheusRule": {"runbooks": "docs/"}}), "'runbooks'"),
        (json!({"dashboard": {"label": {}}}), "'label'"),
        (json!({"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}}), "podMonitor.enabled"),
        (json!({"serviceAccount": {"create": false}}), "serviceAccount.name"),
        (json!({"healthPort": 8080}), "metricsPort and healthPort must differ"),
        (json!({"healthPort": 0}), "/healthPort"),
        (json!({"callTimeout": "0s"}), "callTimeout must be above zero"),
        (json!({"connectTimeout": "11s"}), "connectTimeout must not be longer"),
        (json!({"callTimeout": "11s"}), "terminationGracePeriodSeconds must be at least callTimeout and 20 s"),
        (
            json!({"callTimeout": "1m30s", "terminationGracePeriodSeconds": 110}),
            "leaderElection.leaseDuration must be longer",
        ),
        (json!({"leaderElection": {"leaseDuration": "13s"}}), "leaderElection.leaseDuration must be longer"),
        (json!({"leaderElection": {"renewDeadline": "15s"}}), "retryPeriod must be shorter than renewDeadline"),
    ] {
        let complaint = complaint(values.clone()).await;
        assert!(complaint.contains(says), "{values}: {complaint}");
    }
}

#[tokio::test]
async fn a_password_in_the_proxys_url_is_not_repeated() {
    for url in ["ftp://canary.example.com", "http://user:canary@proxy.example.com", "canary"] {
        let complaint = complaint(json!({"proxy": {"url": url}})).await;
        assert!(complaint.contains("proxy.url must be") && !complaint.contains("canary"), "{complaint}");
    }
    let objects = rendered(json!({"proxy": {"fromSecret": {"name": "proxy"}}})).await;
    let variable = &objects.pod()["containers"][0]["env"][0];
    assert_eq!(variable["valueFrom"]["secretKeyRef"], json!({"name": "proxy", "key": "url"}));
}

#[tokio::test]
async fn the_operators_settings_become_its_arguments() {
    let objects = rendered(json!({
        "watchNamespaces": ["a", "b"], "endpointHosts": ["sma.example.com", "team-a=sma.example.com:8443/api/v2"],
        "requireCredentialsLabel": true, "privateEndpoints": ["10.0.0.0/8"],
        "insecureEndpoints": true, "callTimeout": "8s", "connectTimeout": "4s", "dailyCheck": "12h", "spreadValidity": false,
        "allowedSecretMetadata": ["grafana_dashboard", "!example.com/*"],
        "budget": {"requestsInFlight": 3, "requestsPerSecond": 7}, "logLevel": "debug", "logFormat": "text", "auditLog": "/audit/a.log", "otlpEndpoint": "http://collector:4318",
        "caBundle": {"secret": {"name": "ca", "key": "bundle.pem"}}, "listenAddress": "[::]", "metricsPort": 9000,
        "healthPort": 9001, "tokenMetrics": "failing",
        "leaderElection": {"leaseDuration": "30s", "renewDeadline": "20s", "retryPeriod": "4s"},
    }))
    .await;
    let expected = [
        "run",
        "--leader-election",
        "--lease-name=operator-syniverse-token-operator",
        "--lease-duration=30s",
        "--renew-deadline=20s",
        "--retry-period=4s",
        "--listen=[::]:9000",
        "--token-metrics=failing",
        "--health-listen=[::]:9001",
        "--namespace=a",
        "--namespace=b",
        "--endpoint-host=sma.example.com",
        "--endpoint-host=team-a=sma.example.com:8443/api/v2",
        "--require-credentials-label",
        "--private-endpoints=10.0.0.0/8",
        "--insecure-endpoints",
        "--call-timeout=8s",
        "--connect-timeout=4s",
        "--daily-check=12h",
        "--spread-validity=false",
        "--secret-metadata=grafana_dashboard",
        "--secret-metadata=!example.com/*",
        "--expect-admission-policy",
        "--requests-in-flight=3",
        "--requests-per-second=7",
        "--ca-bundle=/etc/syniverse-token-operator/ca/ca.crt",
        "--log-level=debug",
        "--log-format=text",
        "--otlp-endpoint=http://collector:4318",
        "--audit-log=/audit/a.log",
    ];
    assert_eq!(objects.arguments(), expected);
    let volume = json!({"name": "ca-bundle", "secret": {
        "secretName": "ca", "items": [{"key": "bundle.pem", "path": "ca.crt"}],
    }});
    assert_eq!(objects.pod()["volumes"], json!([volume]));
}

#[tokio::test]
async fn the_operator_takes_every_argument_that_the_chart_can_give() {
    let objects =
        rendered(json!({"endpointHosts": HOSTS, "requireCredentialsLabel": true, "privateEndpoints": ["10.0.0.0/8"], "insecureEndpoints": true,
        "watchNamespaces": ["a"], "auditLog": "-", "otlpEndpoint": "https://collector/otlp", "allowedSecretMetadata": ["*", "!*.example.com/*"], "caBundle": {"configMap": {"name": "ca"}}}))
        .await;
    // Without a kubeconfig it ends after its arguments were read; the file of the bundle is not there either.
    let ended = crate::release::command(objects.pod(), "/dev/null".as_ref()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("failed to read --ca-bundle"), "{said}");
}

#[tokio::test]
async fn with_a_list_of_namespaces_the_operator_has_no_rights_beyond_them() {
    let objects = rendered(json!({"watchNamespaces": ["a", "b"]})).await;
    let grants = ["ClusterRole", "ClusterRoleBinding"].map(|kind| objects.of(kind).len());
    assert_eq!(grants, [2, 0], "the two aggregated ClusterRoles are bound to nobody here");
    let roles = objects.of("Role").into_iter().chain(objects.of("RoleBinding"));
    let places: Vec<_> = roles.map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(places, ["a", "b", "syniverse", "a", "b", "syniverse"]);
}

#[tokio::test]
async fn who_may_touch_one_namespace_only_can_install_it_there() {
    let objects = rendered(json!({
        "watchNamespaces": ["syniverse"], "crds": {"install": false}, "rbac": {"aggregateRoles": false},
        "admissionPolicy": {"enabled": false},
    }))
    .await;
    assert_eq!(objects.cluster_wide(), [""; 0]);
}

#[tokio::test]
async fn no_rule_grants_everything_and_view_shows_no_secret() {
    let objects = rendered(json!({})).await;
    for role in objects.of("ClusterRole").into_iter().chain(objects.of("Role")) {
        assert!(!role["rules"].to_string().contains('*'), "{role}");
        let aggregated = role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true";
        assert!(!aggregated || !role["rules"].to_string().contains("secrets"), "{role}");
    }
}

#[tokio::test]
async fn two_releases_of_one_name_share_no_name_across_namespaces() {
    let helm = Helm::offline();
    let (one, other) = (helm.template_in("one", &json!({})).await, helm.template_in("other", &json!({})).await);
    let names = |objects: Objects| -> Vec<_> {
        let free = objects.0.into_iter().filter(|object| object["metadata"]["namespace"].is_null());
        free.filter(|object| object["kind"] != "CustomResourceDefinition")
            .map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"]))
            .collect()
    };
    let (one, other) = (names(one.unwrap()), names(other.unwrap()));
    assert_eq!(one.len(), 10);
    assert!(one.iter().all(|name| !other.contains(name)), "{one:?}");
}

#[tokio::test]
async fn a_digest_is_used_instead_of_the_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let image = json!({"repository": "images.example.com/operator", "tag": "1", "digest": digest});
    let objects = rendered(json!({"image": image})).await;
    assert_eq!(objects.pod()["containers"][0]["image"], format!("images.example.com/operator@{digest}"));
    assert_eq!(
        rendered(json!({"image": {"tag": "1"}})).await.pod()["containers"][0]["image"],
        "syniverse-token-operator:1"
    );
}

#[tokio::test]
async fn the_registry_and_the_pull_secrets_of_all_charts_are_used() {
    for (repository, registry, image) in [
        ("syniverse-token-operator", "mirror.example.com", "mirror.example.com/syniverse-token-operator:1"),
        ("team/operator", "mirror.example.com/hub/", "mirror.example.com/hub/team/operator:1"),
        ("images.example.com/team/operator", "mirror.example.com:5000", "mirror.example.com:5000/team/operator:1"),
        ("localhost/operator", "mirror.example.com", "mirror.example.com/operator:1"),
        ("images.example.com/operator", "", "images.example.com/operator:1"),
    ] {
        let values = json!({"image": {"repository": repository, "tag": "1"}, "global": {"imageRegistry": registry}});
        assert_eq!(rendered(values).await.pod()["containers"][0]["image"], image);
    }
    let values = json!({"global": {"imagePullSecrets": ["a", {"name": "b"}]}, "imagePullSecrets": [{"name": "b"}, {"name": "c"}]});
    assert_eq!(rendered(values).await.pod()["imagePullSecrets"], json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
}

#[tokio::test]
async fn what_a_pod_may_lack_is_left_out_where_it_is_null() {
    for name in MAY_BE_LACKING {
        let (usual, without) = tokio::join!(rendered(json!({})), rendered(json!({name: null})));
        let mut expected = usual.pod().clone();
        match name {
            "podSecurityContext" => drop(expected.as_object_mut().unwrap().remove("securityContext").unwrap()),
            "affinity" => drop(expected.as_object_mut().unwrap().remove(name).unwrap()),
            _ => drop(expected["containers"][0].as_object_mut().unwrap().remove(name).unwrap()),
        }
        assert_eq!(without.pod(), &expected, "{name}");
    }
}

/// Helm takes a value away that is null: the templates must not read that as "off".
#[tokio::test]
async fn null_is_refused_by_name_or_is_the_same_as_the_default() {
    let text = std::fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let (mut empty, mut full, mut groups) = (json!({}), json!({}), json!({}));
    let mut names = Vec::new();
    for (name, value) in values.as_object().unwrap().iter().filter(|(name, _)| !MAY_BE_LACKING.contains(&name.as_str()))
    {
        let is_group = value.as_object().is_some_and(|fields| !fields.is_empty()) && name != "global";
        if is_group {
            groups[name] = Value::Null;
        }
        empty[name] = without(value, true, &mut Vec::new());
        full[name] = without(value, false, &mut names);
        if full[name].is_null() {
            names.push(name.clone());
        }
    }
    assert_eq!(rendered(empty).await.0, rendered(json!({})).await.0);
    let (leaves, whole) = (complaint(full).await, complaint(groups.clone()).await);
    assert!(names.len() > 35, "{names:?}");
    for name in names {
        assert!(leaves.contains(&format!("'{name}'")), "{name}: {leaves}");
    }
    for name in groups.as_object().unwrap().keys() {
        assert!(whole.contains(&format!("'{name}'")), "{name}: {whole}");
    }
}

/// Null for every value in it whose default is empty, or for every other one, which is named.
fn without(value: &Value, is_empty: bool, names: &mut Vec<String>) -> Value {
    let fields = value.as_object().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else {
        let nothing = [json!({}), json!([]), json!("")].contains(value);
        return if nothing == is_empty { Value::Null } else { value.clone() };
    };
    let null = |(name, value): (&String, &Value)| {
        let null = without(value, is_empty, names);
        if null.is_null() {
            names.push(name.clone());
        }
        (name.clone(), null)
    };
    Value::Object(fields.iter().map(null).collect())
}

/// As Helm renders it where another chart depends on it.
#[tokio::test]
async fn a_chart_of_charts_turns_it_off_and_sets_what_all_have_in_common() {
    let (helm, parent) = (Helm::offline(), harness::Scratch::new().unwrap());
    let file = |name: &str| parent.path().join(name);
    std::fs::create_dir(file("charts")).unwrap();
    std::os::unix::fs::symlink(CHART, file("charts/syniverse-token-operator")).unwrap();
    let dependency = json!({"name": "syniverse-token-operator", "version": "*.*.*",
        "condition": "syniverse-token-operator.enabled"});
    let chart = json!({"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]});
    std::fs::write(file("Chart.yaml"), chart.to_string()).unwrap();
    let rendered = async |values: Value| {
        let path = parent.path().display().to_string();
        Objects::read(&helm.run(&["template", "operator", &path, "--set-json", &values.to_string()]).await.unwrap())
    };
    assert!(rendered(json!({"syniverse-token-operator": {"enabled": false}})).await.0.is_empty());
    let objects = rendered(json!({
        "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["a"], "storageClass": "of another chart"},
        "syniverse-token-operator": {"enabled": true, "livenessProbe": null},
    }))
    .await;
    let container = &objects.pod()["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container["image"], format!("mirror.example.com/syniverse-token-operator:{version}"));
    assert!(container["livenessProbe"].is_null() && container["readinessProbe"].is_object());
    assert_eq!(objects.pod()["imagePullSecrets"], json!([{"name": "a"}]));
}

#[tokio::test]
async fn a_spread_without_a_selector_is_about_these_pods() {
    let constraint = |more: Value| {
        let mut constraint = json!({"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1});
        constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        constraint
    };
    let own = json!({"labelSelector": {"matchLabels": {"a": "b"}}});
    let objects =
        rendered(json!({"topologySpreadConstraints": [constraint(json!({})), constraint(own.clone())]})).await;
    let selector = objects.the("Deployment")["spec"]["selector"].clone();
    assert_eq!(
        objects.pod()["topologySpreadConstraints"],
        json!([constraint(json!({"labelSelector": selector})), constraint(own)])
    );
}

#[tokio::test]
async fn nobody_may_read_the_metrics_whom_a_network_policy_does_not_name() {
    let objects = rendered(json!({"networkPolicy": {"enabled": true}})).await;
    let policy = &objects.the("NetworkPolicy")["spec"];
    assert_eq!((&policy["ingress"], &policy["policyTypes"]), (&json!([]), &json!(["Ingress", "Egress"])));
    let peer = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}});
    let objects = rendered(json!({"networkPolicy": {"enabled": true, "metricsFrom": [peer],
        "issuers": {"cidrs": ["192.0.2.0/24"], "ports": [443, 3128]}}}))
    .await;
    let policy = &objects.the("NetworkPolicy")["spec"];
    let port = json!({"protocol": "TCP", "port": "metrics"});
    assert_eq!(policy["ingress"], json!([{"ports": [port], "from": [peer]}]));
    let ports = json!([{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 3128}]);
    assert_eq!(policy["egress"][2], json!({"ports": ports, "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}));
}

#[tokio::test]
async fn a_monitor_finds_the_port_of_the_pods() {
    let settings = json!({"enabled": true, "namespace": "monitoring", "labels": {"team": "a"}, "interval": "30s"});
    let objects = rendered(json!({"serviceMonitor": settings})).await;
    let (monitor, service) = (objects.the("ServiceMonitor"), objects.the("Service"));
    assert_eq!(monitor["metadata"]["namespace"], "monitoring");
    assert_eq!(monitor["metadata"]["labels"]["team"], "a");
    let endpoint = json!({"port": "metrics", "path": "/metrics", "honorLabels": true, "interval": "30s"});
    assert_eq!(monitor["spec"]["endpoints"], json!([endpoint]));
    assert_eq!(monitor["spec"]["namespaceSelector"], json!({"matchNames": ["syniverse"]}));
    for (name, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][name], value);
    }
    let objects = rendered(json!({"podMonitor": settings})).await;
    assert_eq!(objects.the("PodMonitor")["spec"]["podMetricsEndpoints"], json!([endpoint]));
    assert_eq!(objects.pod()["containers"][0]["ports"][0]["name"], "metrics");
}

#[tokio::test]
async fn the_rules_are_those_of_the_docs_with_the_runbooks_where_people_reach_them() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yaml")).unwrap();
    let rule = json!({"enabled": true, "namespace": "monitoring", "labels": {"team": "a"}});
    let objects = rendered(json!({"prometheusRule": rule})).await;
    let made = objects.the("PrometheusRule");
    assert_eq!(made["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(made["spec"], serde_saphyr::from_str::<Value>(&text).unwrap());
    let (metadata, labels) = (&made["metadata"], &made["metadata"]["labels"]);
    assert_eq!((&metadata["namespace"], &labels["team"]), (&json!("monitoring"), &json!("a")));
    let moved = json!({"enabled": true, "runbookURL": "https://wiki.example.com/runbooks/"});
    let objects = rendered(json!({"prometheusRule": moved})).await;
    let made = objects.the("PrometheusRule");
    assert_eq!(made["metadata"]["namespace"], "syniverse");
    for rule in made["spec"]["groups"][0]["rules"].as_array().unwrap() {
        let expected = format!("https://wiki.example.com/runbooks/{}.md", rule["alert"].as_str().unwrap());
        assert_eq!(rule["annotations"]["runbook_url"], expected);
    }
    assert!(rendered(json!({})).await.of("PrometheusRule").is_empty());
}

#[tokio::test]
async fn the_dashboard_is_where_the_sidecar_looks_for_it() {
    let file = std::fs::read_to_string(format!("{CHART}/files/dashboard.json")).unwrap();
    let objects = rendered(json!({"dashboard": {"enabled": true}})).await;
    let made = objects.the("ConfigMap");
    assert_eq!(made["metadata"]["name"], "operator-syniverse-token-operator-dashboard");
    assert_eq!(made["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(made["metadata"]["namespace"], "syniverse");
    assert!(made["metadata"]["annotations"].is_null());
    let shown = made["data"]["syniverse-token-operator.json"].as_str().unwrap();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parsed(shown), parsed(&file));
    let settings = json!({"enabled": true, "namespace": "grafana", "labels": {"grafana_dashboard": "tokens"},
        "annotations": {"grafana_folder": "Syniverse"}});
    let objects = rendered(json!({"dashboard": settings})).await;
    let metadata = &objects.the("ConfigMap")["metadata"];
    let placed = json!([metadata["namespace"], metadata["labels"]["grafana_dashboard"], metadata["annotations"]]);
    assert_eq!(placed, json!(["grafana", "tokens", {"grafana_folder": "Syniverse"}]));
    assert!(rendered(json!({})).await.of("ConfigMap").is_empty());
}

#[tokio::test]
async fn probes_come_to_a_port_of_their_own_that_no_network_policy_opens() {
    let network = json!({"enabled": true, "metricsFrom": [{"namespaceSelector": {}}]});
    let objects = rendered(json!({"healthPort": 9001, "networkPolicy": network})).await;
    let container = &objects.pod()["containers"][0];
    assert_eq!(container["ports"][1], json!({"name": "health", "containerPort": 9001}));
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "health");
    }
    assert!(!objects.the("NetworkPolicy").to_string().contains("health"), "the node lets the kubelet through");
}

#[tokio::test]
async fn whoever_acts_alone_is_gone_before_the_next_one_comes() {
    let values = json!({"replicas": 1, "leaderElection": {"enabled": false}});
    assert_eq!(rendered(values).await.the("Deployment")["spec"]["strategy"], json!({"type": "Recreate"}));
    assert!(rendered(json!({})).await.the("Deployment")["spec"]["strategy"].is_null());
}

/// Numbers and truth values, as YAML reads them, and names as long as Helm allows.
#[tokio::test]
async fn names_that_look_like_something_else_or_are_long_stay_names() {
    let helm = Helm::offline();
    for name in ["2024", "1e3", "true", "null", "a.b", "a-23456789-123456789-123456789-123456789-123456789-12"] {
        let values = json!({"watchNamespaces": ["2024", "true"], "priorityClassName": "1", "service": {"enabled": true},
            "caBundle": {"configMap": {"name": "2", "key": "3"}}, "endpointHosts": ["2001:db8::"],
            "serviceAccount": {"name": "4"}});
        let arguments = ["template", name, CHART, "--namespace", "true", "--set-json", &values.to_string()];
        let objects = Objects::read(&helm.run(&arguments).await.unwrap());
        let is_label = |name: &str| name.len() <= 63 && !name.ends_with('-') && !name.contains('.');
        for object in &objects.0 {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str().unwrap_or_else(|| panic!("no name: {metadata}"));
            assert!(metadata["namespace"].is_null() || metadata["namespace"].is_string(), "{metadata}");
            assert!(
                metadata["namespace"].is_null()
                    || object["kind"] == "Role"
                    || object["kind"] == "RoleBinding"
                    || is_label(name),
                "{name}"
            );
        }
        assert_eq!(objects.pod()["serviceAccountName"], "4");
        assert!(objects.arguments().contains(&"--endpoint-host=2001:db8::"));
    }
}

#[tokio::test]
async fn labels_of_the_pods_come_before_those_of_everything_and_none_stands_twice() {
    let helm = Helm::offline();
    let values = json!({"commonLabels": {"team": "all"}, "podLabels": {"team": "pods"},
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "mine"},
        "podMonitor": {"enabled": true, "labels": {"team": "monitors"}}});
    let text = helm.run(&["template", "operator", CHART, "--set-json", &values.to_string()]).await.unwrap();
    let objects = Objects::read(&text);
    let template = &objects.the("Deployment")["spec"]["template"]["metadata"];
    assert_eq!(template["labels"]["team"], "pods");
    assert_eq!(template["annotations"], json!({"kubectl.kubernetes.io/default-container": "mine"}));
    assert_eq!(objects.the("PodMonitor")["metadata"]["labels"]["team"], "monitors");
    assert_eq!(text.matches("team: pods").count(), 1);
    assert_eq!(objects.of("Pod")[0]["metadata"]["labels"]["team"], "all", "the Pod of helm test");
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

#[tokio::test]
async fn each_shard_has_a_deployment_a_budget_and_a_lease_and_selects_none_of_the_others_pods() {
    let objects =
        rendered(json!({"shards": 3, "service": {"enabled": true}, "networkPolicy": {"enabled": true}})).await;
    let names = ["", "-2", "-3"].map(|suffix| format!("operator-syniverse-token-operator{suffix}"));
    let (deployments, budgets) = (objects.of("Deployment"), objects.of("PodDisruptionBudget"));
    for (shard, (deployment, budget)) in deployments.iter().zip(&budgets).enumerate() {
        assert_eq!([name(deployment), name(budget)], [names[shard].as_str(); 2]);
        let (spec, number) = (&deployment["spec"], (shard + 1).to_string());
        let selector = &spec["selector"]["matchLabels"];
        assert_eq!(selector["syniverse.dev/shard"], number);
        assert_eq!(
            (
                &spec["template"]["metadata"]["labels"]["syniverse.dev/shard"],
                &budget["spec"]["selector"]["matchLabels"]
            ),
            (&json!(number), selector)
        );
        let arguments = &spec["template"]["spec"]["containers"][0]["args"];
        let has = |argument: &str| arguments.as_array().unwrap().contains(&json!(argument));
        // The operator puts the number after the name by itself.
        assert!(has(&format!("--shard={number}/3")) && has(&format!("--lease-name={}", names[0])), "{arguments}");
        let apart = &spec["template"]["spec"]["affinity"]["podAntiAffinity"].to_string();
        assert!(apart.contains(&format!("\"syniverse.dev/shard\":\"{number}\"")), "{apart}");
    }
    assert_eq!((deployments.len(), budgets.len()), (3, 3));
    let roles = objects.of("Role");
    let leases = roles.iter().find(|role| role["rules"].to_string().contains("leases")).unwrap();
    assert_eq!(leases["rules"][1]["resourceNames"], json!(names));
    let policies = objects.of("ValidatingAdmissionPolicy");
    let policy = policies.iter().find(|policy| name(policy).ends_with(".leases")).unwrap().to_string();
    assert!(names.iter().all(|name| policy.contains(&format!("'{name}'"))), "{policy}");
    for about_all in [&objects.the("Service")["spec"]["selector"], &objects.the("NetworkPolicy")["spec"]["podSelector"]]
    {
        assert!(!about_all.to_string().contains("shard"), "{about_all}");
    }
}

#[tokio::test]
async fn a_change_of_shards_leaves_the_selector_of_the_first_as_it_is() {
    let (one, two) = tokio::join!(rendered(json!({})), rendered(json!({"shards": 2})));
    let [before, after] = [one.the("Deployment"), two.of("Deployment")[0]];
    assert_eq!((name(before), &before["spec"]["selector"]), (name(after), &after["spec"]["selector"]));
    assert!(!one.arguments().iter().any(|argument| argument.starts_with("--shard")));
}
