#include "k8s/lease_record.h"

#include "base/clock.h"
#include "k8s/resource.h"
#include <string.h>

#define RELEASED_DURATION_S 1
#define DURATION_MAX_S INT32_MAX // as the API has it

const char *lease_record_holder(const json_t *lease)
{
	const char *holder = json_find_str(lease, "spec", "holderIdentity");
	return holder == NULL ? "" : holder;
}

int64_t lease_record_duration_ms(const json_t *lease, int64_t otherwise)
{
	json_int_t seconds = json_find_int(0, lease, "spec", "leaseDurationSeconds");
	return seconds > 0 && seconds <= DURATION_MAX_S ? (int64_t)seconds * 1000 : otherwise;
}

int64_t lease_record_transitions(const json_t *lease)
{
	return json_find_int(0, lease, "spec", "leaseTransitions");
}

bool lease_record_is_same(const json_t *a, const json_t *b)
{
	return json_equal(json_object_get(a, "spec"), json_object_get(b, "spec")) == 1;
}

// Lay the members of changes, which is consumed, over the spec of a copy of previous.
static int with_spec(const json_t *previous, json_t *changes, json_t **out, struct error *err)
{
	AUTO(json) json_t *copy = json_deep_copy(previous);
	AUTO(json) json_t *laid = changes;
	if (copy == NULL || laid == NULL)
		return error_no_memory(err, "Lease");
	json_t *spec = json_object_get(copy, "spec");
	if (!json_is_object(spec)) {
		spec = json_object();
		if (json_object_set_new(copy, "spec", spec) < 0)
			return error_no_memory(err, "Lease");
	}
	if (json_object_update(spec, laid) < 0)
		return error_no_memory(err, "Lease");
	*out = TAKE_PTR(copy);
	return 0;
}

int lease_record_claim(const json_t *previous, const struct lease_claim *claim, json_t **out, struct error *err)
{
	char now[CLOCK_TEXT_SIZE];
	AUTO(json) json_t *fresh = NULL;
	clock_format_micro(claim->wall_ms, now);
	json_int_t duration_s = claim->duration_ms / 1000;
	// The first holder is no transition.
	if (previous == NULL) {
		if (json_made(json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", K8S_LEASE.api_version, "kind", K8S_LEASE.kind,
				      "metadata", "namespace", claim->namespace, "name", claim->name),
			    "Lease", &fresh, err) < 0)
			return -1;
		return with_spec(fresh,
			json_pack("{s:s, s:I, s:s, s:s, s:i}", "holderIdentity", claim->identity, "leaseDurationSeconds",
				duration_s, "acquireTime", now, "renewTime", now, "leaseTransitions", 0),
			out, err);
	}
	if (strcmp(lease_record_holder(previous), claim->identity) == 0)
		return with_spec(
			previous, json_pack("{s:I, s:s}", "leaseDurationSeconds", duration_s, "renewTime", now), out, err);
	return with_spec(previous,
		json_pack("{s:s, s:I, s:s, s:s, s:I}", "holderIdentity", claim->identity, "leaseDurationSeconds", duration_s,
			"acquireTime", now, "renewTime", now, "leaseTransitions",
			(json_int_t)lease_record_transitions(previous) + 1),
		out, err);
}

int lease_record_release(const json_t *previous, int64_t wall_ms, json_t **out, struct error *err)
{
	char now[CLOCK_TEXT_SIZE];
	clock_format_micro(wall_ms, now);
	return with_spec(previous,
		json_pack("{s:s, s:i, s:s, s:s}", "holderIdentity", "", "leaseDurationSeconds", RELEASED_DURATION_S,
			"acquireTime", now, "renewTime", now),
		out, err);
}
