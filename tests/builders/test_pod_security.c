// Every pod that we make meets Pod Security `restricted`: its rules as a table of our own, from Kubernetes'
// pod-security-admission/policy/check_*.go. Each rule is also shown to refuse a pod that breaks it.
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <string.h>

// What a rule looks at: the spec of a pod, and one of its containers (init containers too).
struct subject {
	const json_t *pod;
	const json_t *container;
};

static const json_t *of_pod(const struct subject *s, const char *key)
{
	return json_find(s->pod, "securityContext", key);
}

static const json_t *of_container(const struct subject *s, const char *key)
{
	return json_find(s->container, "securityContext", key);
}

// The container's word counts before the pod's.
static const json_t *effective(const struct subject *s, const char *key)
{
	const json_t *own = of_container(s, key);
	return own != NULL ? own : of_pod(s, key);
}

static bool no_escalation(const struct subject *s)
{
	return json_is_false(of_container(s, "allowPrivilegeEscalation"));
}

static bool all_capabilities_dropped(const struct subject *s)
{
	const json_t *drop = json_find(s->container, "securityContext", "capabilities", "drop");
	bool all = false;
	for (size_t i = 0; i < json_array_size(drop); i++)
		all = all || strcmp(json_string_value(json_array_get(drop, i)), "ALL") == 0;
	return all && json_find(s->container, "securityContext", "capabilities", "add") == NULL;
}

static bool runs_as_non_root(const struct subject *s)
{
	return json_is_true(effective(s, "runAsNonRoot"));
}

static bool runs_as_a_user_that_is_not_root(const struct subject *s)
{
	return json_int_or(effective(s, "runAsUser"), 1) != 0;
}

static bool has_a_seccomp_profile(const struct subject *s)
{
	const char *type = json_find_str(effective(s, "seccompProfile"), "type");
	return type != NULL && (strcmp(type, "RuntimeDefault") == 0 || strcmp(type, "Localhost") == 0);
}

static bool has_volumes_of_allowed_types(const struct subject *s)
{
	static const char *const allowed[] = {
		"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"};
	const json_t *volumes = json_find(s->pod, "volumes");
	for (size_t v = 0; v < json_array_size(volumes); v++) {
		const json_t *volume = json_array_get(volumes, v);
		size_t known = json_object_get(volume, "name") != NULL ? 1 : 0;
		for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
			known += json_object_get(volume, allowed[i]) != NULL ? 1 : 0;
		if (known != 2 || json_object_size(volume) != 2)
			return false;
	}
	return true;
}

static bool stays_out_of_the_host(const struct subject *s)
{
	static const char *const keys[] = {"hostNetwork", "hostPID", "hostIPC"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (json_is_true(json_object_get(s->pod, keys[i])))
			return false;
	}
	return true;
}

static bool takes_no_host_port(const struct subject *s)
{
	const json_t *ports = json_find(s->container, "ports");
	for (size_t i = 0; i < json_array_size(ports); i++) {
		if (json_find_int(0, json_array_get(ports, i), "hostPort") != 0)
			return false;
	}
	return true;
}

static bool is_not_privileged(const struct subject *s)
{
	return !json_is_true(of_container(s, "privileged"));
}

static bool leaves_the_kernel_alone(const struct subject *s)
{
	return of_pod(s, "sysctls") == NULL && effective(s, "seLinuxOptions") == NULL &&
	       effective(s, "appArmorProfile") == NULL && of_container(s, "procMount") == NULL;
}

static bool probes_no_other_host(const struct subject *s)
{
	static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		if (json_find(s->container, probes[i], "httpGet", "host") != NULL ||
			json_find(s->container, probes[i], "tcpSocket", "host") != NULL)
			return false;
	}
	return true;
}

// Not of `restricted`, but of ours: design.md "The database that comes up" and "Rights".
static bool has_a_read_only_root(const struct subject *s)
{
	return json_is_true(of_container(s, "readOnlyRootFilesystem"));
}

static bool has_no_api_token(const struct subject *s)
{
	return json_is_false(json_object_get(s->pod, "automountServiceAccountToken")) &&
	       json_is_false(json_object_get(s->pod, "enableServiceLinks"));
}

static bool keeps_the_owner_of_its_volumes(const struct subject *s)
{
	const char *policy = json_string_value(of_pod(s, "fsGroupChangePolicy"));
	return json_int_or(of_pod(s, "fsGroup"), 0) == 999 && json_int_or(effective(s, "runAsUser"), 0) == 999 &&
	       policy != NULL && strcmp(policy, "OnRootMismatch") == 0;
}

// A rule, and what has to be laid over the pod or the container to break it.
static const struct {
	const char *label;
	bool (*holds)(const struct subject *s);
	const char *break_pod, *break_container;
} rules[] = {
	{"allowPrivilegeEscalation is false", no_escalation, NULL, "{\"securityContext\":{\"allowPrivilegeEscalation\":true}}"},
	{"capabilities drop ALL", all_capabilities_dropped, NULL,
		"{\"securityContext\":{\"capabilities\":{\"drop\":[\"KILL\"]}}}"},
	{"capabilities add none", all_capabilities_dropped, NULL,
		"{\"securityContext\":{\"capabilities\":{\"add\":[\"KILL\"]}}}"},
	{"runAsNonRoot", runs_as_non_root, NULL, "{\"securityContext\":{\"runAsNonRoot\":false}}"},
	{"runAsUser is not 0", runs_as_a_user_that_is_not_root, "{\"securityContext\":{\"runAsUser\":0}}", NULL},
	{"seccompProfile", has_a_seccomp_profile, "{\"securityContext\":{\"seccompProfile\":{\"type\":\"Unconfined\"}}}", NULL},
	{"volume types", has_volumes_of_allowed_types, "{\"volumes\":[{\"name\":\"x\",\"hostPath\":{\"path\":\"/\"}}]}", NULL},
	{"host namespaces", stays_out_of_the_host, "{\"hostPID\":true}", NULL},
	{"host ports", takes_no_host_port, NULL, "{\"ports\":[{\"containerPort\":1,\"hostPort\":1}]}"},
	{"privileged", is_not_privileged, NULL, "{\"securityContext\":{\"privileged\":true}}"},
	{"sysctls", leaves_the_kernel_alone, "{\"securityContext\":{\"sysctls\":[]}}", NULL},
	{"SELinux", leaves_the_kernel_alone, NULL, "{\"securityContext\":{\"seLinuxOptions\":{\"user\":\"x\"}}}"},
	{"procMount", leaves_the_kernel_alone, NULL, "{\"securityContext\":{\"procMount\":\"Unmasked\"}}"},
	{"probe hosts", probes_no_other_host, NULL, "{\"livenessProbe\":{\"tcpSocket\":{\"host\":\"x\"}}}"},
	{"read-only root", has_a_read_only_root, NULL, "{\"securityContext\":{\"readOnlyRootFilesystem\":false}}"},
	{"API token", has_no_api_token, "{\"automountServiceAccountToken\":true}", NULL},
	{"owner of volumes", keeps_the_owner_of_its_volumes, "{\"securityContext\":{\"fsGroupChangePolicy\":\"Always\"}}", NULL},
};

#define RULE_COUNT (sizeof rules / sizeof *rules)

// The pods of a round: the template's spec of the Job and of the Deployment.
static int pods(const struct sample *s, json_t **out, struct error *err)
{
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *deployment = NULL;
	if (build_restore_job(&s->build, &s->round, &job, err) != 0 ||
		build_deployment(&s->build, &s->round, &s->restored, &deployment, err) != 0)
		return -1;
	return json_made(json_pack("[O, O]", json_find(job, "spec", "template", "spec"),
				 json_find(deployment, "spec", "template", "spec")),
		"pods", out, err);
}

static void check_containers(const char *label, const json_t *pod, const char *list)
{
	const json_t *containers = json_object_get(pod, list);
	for (size_t c = 0; c < json_array_size(containers); c++) {
		struct subject subject = {.pod = pod, .container = json_array_get(containers, c)};
		for (size_t r = 0; r < RULE_COUNT; r++) {
			if (!rules[r].holds(&subject))
				fail_msg("%s: container %s breaks the rule: %s", label, json_find_str(subject.container, "name"),
					rules[r].label);
		}
	}
}

static void every_container_meets_every_rule(void **state)
{
	(void)state;
	for (int intent = 0; intent < INTENT_COUNT; intent++) {
		for (int variant = 0; variant < 3 * WAY_COUNT; variant++) {
			struct error err = {0};
			struct sample s;
			static const char *const engines[] = {"kopia", "restic", "pgbackrest"};
			sample_init(&s, (enum settings_intent)intent, engines[variant % 3]);
			if (variant % 3 == 2)
				sample_in_azure(&s);
			sample_take_way(&s, (enum sample_way)(variant / 3));
			AUTO(json) json_t *both = NULL;
			assert_ok(pods(&s, &both, &err), err);
			for (size_t p = 0; p < json_array_size(both); p++) {
				check_containers(settings_intent_text[intent], json_array_get(both, p), "containers");
				check_containers(settings_intent_text[intent], json_array_get(both, p), "initContainers");
			}
		}
	}
}

static json_t *overlaid(const json_t *base, const char *overlay)
{
	struct error err = {0};
	AUTO(json) json_t *copy = json_deep_copy(base);
	if (overlay != NULL) {
		AUTO(json) json_t *over = NULL;
		assert_ok(json_parse(overlay, strlen(overlay), &over, &err), err);
		assert_int_equal(json_object_update_recursive(copy, over), 0);
	}
	return TAKE_PTR(copy);
}

static void every_rule_refuses_what_breaks_it(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_ANALYTICS, "restic");
	AUTO(json) json_t *both = NULL;
	assert_ok(pods(&s, &both, &err), err);
	for (size_t p = 0; p < json_array_size(both); p++) {
		const json_t *pod = json_array_get(both, p);
		const json_t *container = json_array_get(json_object_get(pod, "containers"), 0);
		for (size_t r = 0; r < RULE_COUNT; r++) {
			AUTO(json) json_t *bad_pod = overlaid(pod, rules[r].break_pod);
			AUTO(json) json_t *bad_container = overlaid(container, rules[r].break_container);
			if (rules[r].holds(&(struct subject){.pod = bad_pod, .container = bad_container}))
				fail_msg("the rule \"%s\" accepts what breaks it", rules[r].label);
		}
	}
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(every_container_meets_every_rule),
		cmocka_unit_test(every_rule_refuses_what_breaks_it),
	};
	return cmocka_run_group_tests_name("builders/pod_security", cases, NULL, NULL);
}
