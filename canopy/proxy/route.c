#include "canopy/proxy/route.h"

#include <stdio.h>
#include <string.h>

static const char *const aws_suffixes[] = {".amazonaws.com", ".amazonaws.com.cn", NULL};

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);
	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

// NULL when it is no host of AWS.
static const char *aws_suffix(const char *host)
{
	for (size_t i = 0; aws_suffixes[i] != NULL; i++) {
		if (ends_with(host, aws_suffixes[i]))
			return aws_suffixes[i];
	}
	return NULL;
}

static bool fits(int printed, size_t size)
{
	return printed >= 0 && (size_t)printed < size;
}

static bool has_port(const char *host)
{
	const char *colon = strrchr(host, ':');
	return colon != NULL && strchr(colon, ']') == NULL;
}

// host, region and target from endpoint and region.
static bool complete(struct route *route, const struct config *config)
{
	const char *bucket = config->is_virtual ? config->bucket : "";
	const char *dot = config->is_virtual ? "." : "";
	if (!fits(snprintf(route->host, sizeof(route->host), "%s%s%s", bucket, dot, route->endpoint), sizeof(route->host)))
		return false;
	struct upstream_target *target = &route->target;
	const char *port = config->is_tls ? ":443" : ":80";
	int printed = config->connect_to != NULL
			      ? snprintf(target->connect_to, sizeof(target->connect_to), "%s", config->connect_to)
			      : snprintf(target->connect_to, sizeof(target->connect_to), "%s%s", route->host,
					has_port(route->host) ? "" : port);
	if (!fits(printed, sizeof(target->connect_to)))
		return false;
	target->tls_name[0] = '\0';
	if (!config->is_tls)
		return true;
	const char *name = config->tls_name != NULL ? config->tls_name : route->host;
	bool is_ipv6 = name[0] == '[';
	size_t len = is_ipv6 ? strcspn(name, "]") - 1 : strcspn(name, ":");
	return fits(snprintf(target->tls_name, sizeof(target->tls_name), "%.*s", (int)len, name + (is_ipv6 ? 1 : 0)),
		sizeof(target->tls_name));
}

int route_init(const struct config *config, struct route *out, struct error *err)
{
	struct route route = {0};
	if (!fits(snprintf(route.endpoint, sizeof(route.endpoint), "%s", config->host), sizeof(route.endpoint)) ||
		!fits(snprintf(route.region, sizeof(route.region), "%s", config->region), sizeof(route.region)) ||
		!complete(&route, config))
		return error_set(
			err, ERROR_INVALID, "region \"%s\" or endpoint \"%s\" is too long", config->region, config->endpoint);
	*out = route;
	return 0;
}

static bool is_region(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return len > 0 && len < ROUTE_REGION_SIZE && text[len] == '\0';
}

// The host in a Location, without the bucket before it; false when it is none that may be followed.
static bool location_endpoint(
	const char *location, const struct route *route, const struct config *config, char out[ROUTE_HOST_SIZE])
{
	const char *scheme = config->is_tls ? "https://" : "http://";
	const char *suffix = aws_suffix(route->endpoint);
	if (suffix == NULL || strncmp(location, scheme, strlen(scheme)) != 0)
		return false;
	const char *host = location + strlen(scheme);
	size_t len = strcspn(host, "/?#");
	size_t bucket_len = strlen(config->bucket);
	if (len > bucket_len + 1 && strncmp(host, config->bucket, bucket_len) == 0 && host[bucket_len] == '.') {
		host += bucket_len + 1;
		len -= bucket_len + 1;
	}
	if (!fits(snprintf(out, ROUTE_HOST_SIZE, "%.*s", (int)len, host), ROUTE_HOST_SIZE) ||
		strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(out))
		return false;
	return aws_suffix(out) != NULL && strcmp(aws_suffix(out), suffix) == 0;
}

bool route_follow(struct route *route, const struct config *config, const struct route_hint *hint)
{
	struct route made = *route;
	bool has_region = is_region(hint->region);
	if (has_region)
		(void)snprintf(made.region, sizeof(made.region), "%s", hint->region);
	const char *suffix = aws_suffix(route->endpoint);
	if (!location_endpoint(hint->location, route, config, made.endpoint)) {
		memcpy(made.endpoint, route->endpoint, sizeof(made.endpoint));
		if (has_region && suffix != NULL &&
			!fits(snprintf(made.endpoint, sizeof(made.endpoint), "s3.%s%s", made.region, suffix),
				sizeof(made.endpoint)))
			return false;
	}
	if (!complete(&made, config))
		return false;
	if (strcmp(made.region, route->region) == 0 && strcmp(made.host, route->host) == 0)
		return false;
	*route = made;
	return true;
}
