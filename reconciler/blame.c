#include "reconciler/blame.h"

#include "builders/exit_codes.h"
#include "reconciler/check_database.h"
#include <string.h>

static const struct {
	enum exit_code code;
	struct blame blame;
} rows[] = {
	{EXIT_SNAPSHOT_GONE, {GRADE_FAILED, OWNER_BACKUP, true}},
	{EXIT_REPOSITORY_GONE, {GRADE_INCONCLUSIVE, OWNER_CANOPY, true}}, // no repository where the declaration says
	{EXIT_WRONG_PASSWORD, {GRADE_INCONCLUSIVE, OWNER_CREDENTIALS, true}},
	{EXIT_ACCESS_REFUSED, {GRADE_INCONCLUSIVE, OWNER_CREDENTIALS, true}},
	{EXIT_NO_CLUSTER, {GRADE_FAILED, OWNER_BACKUP, true}},
	{EXIT_INCOMPLETE, {GRADE_FAILED, OWNER_BACKUP, true}},
	{EXIT_VOLUME_FULL, {GRADE_INCONCLUSIVE, OWNER_SETTINGS, true}},
	{EXIT_CREDENTIALS_EXPIRED, {GRADE_INCONCLUSIVE, OWNER_CREDENTIALS, true}},
	{EXIT_VOLUME_IN_USE, {GRADE_INCONCLUSIVE, OWNER_CLUSTER, true}},
	{EXIT_WRONG_MAJOR, {GRADE_INCONCLUSIVE, OWNER_IMAGE, true}},
	{EXIT_RECOVERY_FAILED, {GRADE_FAILED, OWNER_BACKUP, true}},
	{EXIT_ROLES_FAILED, {GRADE_INCONCLUSIVE, OWNER_CLUSTER, false}},
	{EXIT_RECOVERY_STALLED, {GRADE_INCONCLUSIVE, OWNER_CLUSTER, false}},
	{EXIT_NODE_FAILED, {GRADE_INCONCLUSIVE, OWNER_CLUSTER, false}},
	{EXIT_LOCALE_MISSING, {GRADE_INCONCLUSIVE, OWNER_IMAGE, true}},
	{EXIT_COLLATION_FAILED, {GRADE_FAILED, OWNER_BACKUP, true}},
	{EXIT_MISCONFIGURED, {GRADE_INCONCLUSIVE, OWNER_SETTINGS, true}},
	{EXIT_EXTENSION_MISSING, {GRADE_INCONCLUSIVE, OWNER_IMAGE, true}},
	{EXIT_LOAD_FAILED, {GRADE_FAILED, OWNER_BACKUP, true}},
};

struct blame blame_exit_code(int exit_code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if ((int)rows[i].code == exit_code)
			return rows[i].blame;
	}
	return (struct blame){GRADE_INCONCLUSIVE, OWNER_CLUSTER, false};
}

// What the kubelet says of an image that it cannot have (kubelet/images/types.go).
static bool is_about_the_image(const char *reason)
{
	static const char *const reasons[] = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
		"ImageInspectError", "RegistryUnavailable"};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reasons[i], reason) == 0)
			return true;
	}
	return false;
}

struct blame blame_pod(const struct pod_view *pod, const struct settings_for_intent *sizing)
{
	struct blame blame = {GRADE_INCONCLUSIVE, OWNER_CLUSTER, false};
	if (pod != NULL && is_about_the_image(pod->waiting_reason))
		blame.owner = OWNER_IMAGE;
	else if (pod != NULL && strcmp(pod->ended_reason, "OOMKilled") == 0 && sizing->memory_limit != NULL)
		blame.owner = OWNER_SETTINGS;
	return blame;
}

// A server of another major than the backup's comes of its image, and so does one without the locale of a database: what prepare
// looks at first may still change under a pod that is made anew.
struct blame blame_check(const struct check_result *result)
{
	bool is_image = strcmp(result->stage, check_stage_text[CHECK_STAGE_VERSION]) == 0 ||
			strstr(result->cause, "locale is incompatible with operating system") != NULL;
	if (strncmp(result->cause, CHECK_SOURCE_REFUSED, strlen(CHECK_SOURCE_REFUSED)) == 0)
		return (struct blame){GRADE_INCONCLUSIVE, OWNER_CREDENTIALS, true};
	if (is_image)
		return (struct blame){GRADE_INCONCLUSIVE, OWNER_IMAGE, true};
	return (struct blame){result->grade, result->grade == GRADE_INCONCLUSIVE ? OWNER_CLUSTER : OWNER_BACKUP, true};
}
