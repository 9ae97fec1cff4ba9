// The Services of a replica: postgres, which people know, and postgres-<key> of the round in hand, by which it is tested.
//
// A database is tested through a Service of its own and not through postgres, which leads to the round that serves until the new
// one is proven. So nobody is ever led to what may be broken, and a test that fails takes nothing from those who work on the old
// round. Both Services are alike for those inside of the cluster: the same selector but for the round, the same ports, the same
// policies.
#include "reconciler/step_parts.h"

#include "reconciler/adopt.h"
#include "reconciler/server_tls.h"
#include <stdio.h>
#include <string.h>

#define LOGIN "analytics" // as in Secret analytics-credentials

static int apply_service(
	struct manager *op, const struct round_view *v, const struct build *b, const char *round_key, struct error *err)
{
	AUTO(json) json_t *service = NULL;
	if (build_service(b, round_key, &service, err) < 0 ||
		k8s_apply(op->k8s, &K8S_SERVICE, v->replica->namespace, service, NULL, err) < 0)
		return adopt_soften(v->replica, v->now_ms, err);
	return 0;
}

int step_point_service(struct manager *op, const struct round_view *v, struct error *err)
{
	const struct build b = step_build(op, v);
	if (v->entry == NULL || v->replica->active_round[0] == '\0' || v->replica->state != STATE_ACTIVE)
		return 0;
	return apply_service(op, v, &b, v->replica->active_round, err);
}

int step_make_services(struct manager *op, const struct round_view *v, const struct build *b, struct error *err)
{
	AUTO(json) json_t *service = NULL;
	const struct build_round round = step_round(v);
	const char *serving = v->replica->active_round[0] == '\0' ? NULL : v->replica->active_round;
	if (build_round_service(b, &round, scene_deployment(&v->scene, round.key)->of.uid, &service, err) < 0 ||
		adopt_create(op, &K8S_SERVICE, v->replica, service, v->now_ms, NULL, err) < 0)
		return -1;
	return v->sizing.service_type == SERVICE_CLUSTER_IP ? 0 : apply_service(op, v, b, serving, err);
}

// --- how it is reached

static int get_service(struct manager *op, const char *namespace, const char *name, json_t **out, struct error *err)
{
	return k8s_get(op->k8s, &K8S_SERVICE, namespace, name, out, err) < 0 ? error_wrap(err, "Service %s", name) : 0;
}

static int find_address(struct manager *op, const struct check_request *request, struct check_service *out, struct error *err)
{
	AUTO(json) json_t *service = NULL;
	char name[OBJECT_NAME_SIZE];
	name_deployment(request->round_key, name);
	if (get_service(op, request->namespace, name, &service, err) < 0)
		return -1;
	const char *address = json_find_str(service, "spec", "clusterIP");
	if (address == NULL || address[0] == '\0' || strcmp(address, "None") == 0)
		return error_set(err, ERROR_TRANSIENT, "Service %s has no address", name);
	(void)snprintf(out->address, sizeof(out->address), "%s", address);
	out->port = (int)json_find_int(0, json_array_get(json_find(service, "spec", "ports"), 0), "port");
	return 0;
}

// A load balancer's name or address is not in the certificate, which is made before there is one: it is signed by the operator's
// CA, and that is what a client can check.
static void set_url(struct check_service *out, const char *host, const char *sslmode)
{
	bool is_ipv6 = strchr(host, ':') != NULL;
	(void)snprintf(out->url, sizeof(out->url), "postgresql://" LOGIN "@%s%.260s%s:%d/postgres?sslmode=%s", is_ipv6 ? "[" : "",
		host, is_ipv6 ? "]" : "", out->port, sslmode);
}

static int find_balancer(const json_t *service, bool has_tls, struct check_service *out, struct error *err)
{
	const json_t *ingress = json_array_get(json_find(service, "status", "loadBalancer", "ingress"), 0);
	const char *host = json_find_str(ingress, "hostname");
	host = host == NULL || host[0] == '\0' ? json_find_str(ingress, "ip") : host;
	if (host == NULL || host[0] == '\0')
		return error_set(err, ERROR_TRANSIENT,
			"Service " NAME_SERVICE " has no address of a load balancer yet (hint: serviceTimeout)");
	set_url(out, host, has_tls ? "verify-ca" : "disable");
	return 0;
}

// What Service postgres will be reached by.
static int find_way_in(struct manager *op, const struct check_request *request, struct check_service *out, struct error *err)
{
	AUTO(json) json_t *service = NULL;
	char name[CHECK_TLS_NAME_SIZE];
	bool has_tls = request->tls_name[0] != '\0';
	server_tls_name(request->namespace, name);
	set_url(out, name, has_tls ? "verify-full" : "disable");
	if (request->service_type == SERVICE_CLUSTER_IP)
		return 0;
	if (get_service(op, request->namespace, NAME_SERVICE, &service, err) < 0)
		return -1;
	if (request->service_type == SERVICE_LOAD_BALANCER)
		return find_balancer(service, has_tls, out, err);
	out->node_port = (int)json_find_int(0, json_array_get(json_find(service, "spec", "ports"), 0), "nodePort");
	return 0;
}

int step_find_service(void *arg, const struct check_request *request, struct check_service *out, struct error *err)
{
	struct check_service found = {.port = 0};
	if (find_address(arg, request, &found, err) < 0 || (request->is_standing && find_way_in(arg, request, &found, err) < 0))
		return -1;
	*out = found;
	return 0;
}
