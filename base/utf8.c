#include "base/utf8.h"

#include <stdbool.h>

// RFC 3629 section 4
size_t utf8_len(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] < 0x80)
		return 1;
	size_t len = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	bool past_end = s[0] == 0xf4 && s[1] > 0x8f;
	return len == 0 || overlong || surrogate || past_end ? 0 : len;
}

bool utf8_is_good(const char *s)
{
	size_t len = 1;
	for (; *s != '\0' && len > 0; s += len)
		len = utf8_len(s);
	return len > 0;
}
