/* SPDX-License-Identifier: EUPL-1.2
 *
 * A PKCS#11 library in front of another one (PROXY_MODULE) that fails as the
 * tests say: the first letter of the file beside it, NAME.so.mode, is read at
 * each call.
 *   r  the token is removed      h  the call does not return while it stays h
 *   w  signatures are wrong      s  the next session is lost (once)
 *   l  the next login is lost (once)
 * Each login appends an octet to NAME.so.logins.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
struct list {
	unsigned char version[2];
	void *fn[68];
};
enum { GET_SLOT_LIST = 4, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, LOGOUT = 19, SIGN_INIT = 42, SIGN = 43 };
#define DEVICE_REMOVED 0x32
#define SESSION_HANDLE_INVALID 0xb3

static struct list *real, mine;
static char modefile[4096], loginfile[4096];

static char mode(void)
{
	char c = 'o';
	int fd = open(modefile, O_RDONLY);
	if (fd >= 0) {
		if (read(fd, &c, 1) != 1)
			c = 'o';
		close(fd);
	}
	return c;
}

/* 1 when the token is removed; hangs while it is to hang. */
static int removed(void)
{
	while (mode() == 'h')
		usleep(5000);
	return mode() == 'r';
}

static word get_slot_list(unsigned char present, word *slots, word *n)
{
	if (removed())
		return DEVICE_REMOVED;
	return ((word(*)(unsigned char, word *, word *))real->fn[GET_SLOT_LIST])(present, slots, n);
}

static word open_session(word slot, word flags, void *app, void *notify, word *session)
{
	if (removed())
		return DEVICE_REMOVED;
	return ((word(*)(word, word, void *, void *, word *))real->fn[OPEN_SESSION])(slot, flags, app, notify, session);
}

static word login(word session, word user, unsigned char *pin, word n)
{
	int fd = open(loginfile, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		abort();
	close(fd);
	return ((word(*)(word, word, unsigned char *, word))real->fn[LOGIN])(session, user, pin, n);
}

static word sign_init(word session, void *mechanism, word key)
{
	char m = mode();
	if (removed())
		return DEVICE_REMOVED;
	if (m == 's' && unlink(modefile) == 0) {
		((word(*)(word))real->fn[CLOSE_SESSION])(session);
		return SESSION_HANDLE_INVALID;
	}
	if (m == 'l' && unlink(modefile) == 0)
		((word(*)(word))real->fn[LOGOUT])(session);
	return ((word(*)(word, void *, word))real->fn[SIGN_INIT])(session, mechanism, key);
}

static word sign(word session, unsigned char *data, word len, unsigned char *sig, word *n)
{
	word rv;
	if (removed())
		return DEVICE_REMOVED;
	rv = ((word(*)(word, unsigned char *, word, unsigned char *, word *))real->fn[SIGN])(session, data, len, sig, n);
	if (rv == 0 && mode() == 'w')
		sig[*n / 2] ^= 1;
	return rv;
}

word C_GetFunctionList(struct list **out)
{
	Dl_info self;
	void *lib;
	word (*get)(struct list **);
	if (real == NULL) {
		lib = dlopen(getenv("PROXY_MODULE"), RTLD_NOW | RTLD_LOCAL);
		if (lib == NULL || dladdr((void *)C_GetFunctionList, &self) == 0)
			return 5;
		*(void **)&get = dlsym(lib, "C_GetFunctionList");
		if (get == NULL || get(&real) != 0)
			return 5;
		snprintf(modefile, sizeof modefile, "%s.mode", self.dli_fname);
		snprintf(loginfile, sizeof loginfile, "%s.logins", self.dli_fname);
		memcpy(&mine, real, sizeof mine);
		mine.fn[GET_SLOT_LIST] = (void *)get_slot_list;
		mine.fn[OPEN_SESSION] = (void *)open_session;
		mine.fn[LOGIN] = (void *)login;
		mine.fn[SIGN_INIT] = (void *)sign_init;
		mine.fn[SIGN] = (void *)sign;
	}
	*out = &mine;
	return 0;
}
