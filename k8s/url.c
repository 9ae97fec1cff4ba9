#include "k8s/url.h"

#include <string.h>

// The characters that need no encoding anywhere (RFC 3986 section 2.3).
static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

static int add_encoded(struct buf *url, const char *text, struct error *err)
{
	while (*text != '\0') {
		size_t plain = strspn(text, unreserved);
		if (buf_add(url, text, plain, err) < 0)
			return -1;
		text += plain;
		if (*text != '\0' && buf_addf(url, err, "%%%02X", (unsigned int)(unsigned char)*text++) < 0)
			return -1;
	}
	return 0;
}

static int add_segment(struct buf *url, const char *segment, struct error *err)
{
	if (segment[0] == '\0' || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0 || strchr(segment, '/') != NULL)
		return error_set(err, ERROR_INVALID, "\"%s\" cannot be the name of an object", segment);
	return buf_add(url, "/", 1, err) < 0 ? -1 : add_encoded(url, segment, err);
}

int k8s_url_path(struct buf *url, const struct k8s_resource *resource, const char *namespace, const char *name, struct error *err)
{
	if (buf_add_str(url, resource->prefix, err) < 0)
		return -1;
	if (resource->namespaced && namespace != NULL &&
		(buf_add_str(url, "/namespaces", err) < 0 || add_segment(url, namespace, err) < 0))
		return -1;
	if (resource->namespaced && namespace == NULL && name != NULL)
		return error_set(err, ERROR_INTERNAL, "%s \"%s\" without a namespace", resource->plural, name);
	if (buf_addf(url, err, "/%s", resource->plural) < 0)
		return -1;
	return name == NULL ? 0 : add_segment(url, name, err);
}

int k8s_url_query(struct buf *url, const char *key, const char *value, struct error *err)
{
	char separator = strchr(buf_str(url), '?') == NULL ? '?' : '&';
	return buf_addf(url, err, "%c%s=", separator, key) < 0 ? -1 : add_encoded(url, value, err);
}
