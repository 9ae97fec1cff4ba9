#include "canopy/proxy/uri.h"

#include "base/encode.h"
#include <string.h>

int uri_decode(const char *text, size_t len, bool with_plus, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			int high = len - i > 2 ? encode_hex_value(text[i + 1]) : -1;
			int low = len - i > 2 ? encode_hex_value(text[i + 2]) : -1;
			if (high < 0 || low < 0 || high + low == 0)
				return error_set(err, ERROR_INVALID, "percent-encoding is broken");
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && with_plus) {
			c = ' ';
		}
		if (buf_add(out, &c, 1, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

int uri_encode(const char *text, size_t len, bool keep_slash, struct buf *out, struct error *err)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		const char coded[3] = {'%', digits[c >> 4], digits[c & 15]};
		bool plain = is_unreserved(text[i]) || (keep_slash && text[i] == '/');
		if (plain ? buf_add(out, &text[i], 1, err) < 0 : buf_add(out, coded, sizeof(coded), err) < 0)
			return -1;
	}
	return 0;
}
