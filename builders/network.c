// Who may speak with whom in a replica's Namespace. NetworkPolicies only add: what none of them names stays closed. The ports are
// those of the pods that answer: for an S3 server behind a Service that maps ports, S3_ENDPOINT has to name the same port.
#include "builders/azure.h"
#include "builders/endpoint.h"
#include "builders/metadata.h"
#include "builders/pod.h"

// Every Namespace carries it (Kubernetes 1.21 and later).
#define NAMESPACE_NAME_LABEL "kubernetes.io/metadata.name"
#define DNS_PORT 53
#define HTTPS_PORT 443

static json_t *policy(const struct build *b, const char *name, const char *component, json_t *spec)
{
	return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "networking.k8s.io/v1", "kind", "NetworkPolicy", "metadata",
		metadata_new(b, name, component, NULL), "spec", spec);
}

static json_t *operators_namespace(const struct build *b)
{
	return json_pack(
		"[{s:{s:{s:s}}}]", "namespaceSelector", "matchLabels", NAMESPACE_NAME_LABEL, b->settings->operator_namespace);
}

static json_t *deny_all(const struct build *b)
{
	return policy(b, "default-deny", COMPONENT_REPLICA,
		json_pack("{s:{}, s:[s, s]}", "podSelector", "policyTypes", "Ingress", "Egress"));
}

static json_t *port(const char *protocol, int number)
{
	return json_pack("{s:s, s:i}", "protocol", protocol, "port", number);
}

// A workload identity also asks Microsoft Entra for its token.
static json_t *store_ports(const struct build *b, int store_port)
{
	AUTO(json) json_t *ports = json_pack("[o]", port("TCP", store_port));
	if (azure_uses_identity(b) && store_port != HTTPS_PORT && json_array_append_new(ports, port("TCP", HTTPS_PORT)) != 0)
		return NULL;
	return TAKE_PTR(ports);
}

// One rule a line.
// clang-format off
static json_t *restore_egress(const struct build *b, int store_port, int broker_port)
{
	return policy(b, "restore", COMPONENT_RESTORE,
		json_pack("{s:{s:o}, s:[s], s:[{s:[o, o]}, {s:o}, {s:o, s:[o]}]}",
				"podSelector", "matchLabels", metadata_selector(b, COMPONENT_RESTORE, NULL),
				"policyTypes", "Egress",
				"egress",
					"ports", port("UDP", DNS_PORT), port("TCP", DNS_PORT),
					"ports", store_ports(b, store_port),
					"to", operators_namespace(b), "ports", port("TCP", broker_port)));
}
// clang-format on

static json_t *postgres_ingress(const struct build *b)
{
	// A rule without `from` is open to everyone: people use a standing replica from where they are.
	AUTO(json) json_t *rule = json_pack("{s:[o]}", "ports", port("TCP", POD_POSTGRES_PORT));
	if (b->entry->known_intent == INTENT_VERIFY && json_object_set_new(rule, "from", operators_namespace(b)) != 0)
		return NULL;
	return policy(b, "postgres", COMPONENT_DATABASE,
		json_pack("{s:{s:o}, s:[s], s:[O]}", "podSelector", "matchLabels", metadata_selector(b, COMPONENT_DATABASE, NULL),
			"policyTypes", "Ingress", "ingress", rule));
}

int build_network_policies(const struct build *b, json_t **out, struct error *err)
{
	int store_port = 0;
	int broker_port = 0;
	if (endpoint_store_port(b, &store_port, err) != 0 || endpoint_broker_port(b->settings, &broker_port, err) != 0)
		return error_wrap(err, "NetworkPolicies");
	return json_made(json_pack("[o, o, o]", deny_all(b), restore_egress(b, store_port, broker_port), postgres_ingress(b)),
		"NetworkPolicies", out, err);
}
