// SPDX-License-Identifier: Apache-2.0
/*
 * Code outside the program: PLT stubs, the vDSO, hand-written assembly, libraries that come and go.
 *
 *	plt		calls a function of one instruction through a lazy PLT: many samples lie in
 *			the stub
 *	vdso		clock_gettime in a loop
 *	crypto		libcrypto's assembly: SHA-1, SHA-256, SHA-512, AES-CBC, ChaCha20-Poly1305
 *	swap		dlopen and dlclose of two libraries in turn, which the kernel puts at the
 *			same address: a stale mapping gives wrong rows and wrong names
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/workloads/libs.h"
#include "tests/workloads/truth.h"

/* ---- plt ------------------------------------------------------------------------------------- */

TRUTH_FRAME unsigned long plt_loop(unsigned long x)
{
	for (unsigned i = 0; i < TRUTH_STEPS / 2; i++)
		x = lib_tiny(x);
	return x;
}

TRUTH_BUSY(plt_outer, plt_loop)

static void expect_plt(void)
{
	truth_print(-1, "truth_run;plt_outer;plt_loop");
	truth_print(-1, "truth_run;plt_outer;plt_loop;?"); /* the stub or lib_tiny */
}

/* ---- vdso ------------------------------------------------------------------------------------ */

TRUTH_FRAME unsigned long vdso_loop(unsigned long x)
{
	struct timespec ts;

	for (unsigned i = 0; i < TRUTH_STEPS / 40; i++) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		x += (unsigned long)ts.tv_nsec;
	}
	return x;
}

TRUTH_BUSY(vdso_outer, vdso_loop)

static void expect_vdso(void)
{
	truth_print(-1, "truth_run;vdso_outer;vdso_loop");
	truth_print(-1, "truth_run;vdso_outer;vdso_loop;?;*"); /* libc's, then the vDSO's */
}

/* ---- crypto ---------------------------------------------------------------------------------- */
/* libcrypto's own headers are not needed for three functions of a stable ABI. */

typedef struct evp_md_st EVP_MD;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;

static struct {
	void *handle;
	int (*digest)(const void *, size_t, unsigned char *, unsigned *, const EVP_MD *, void *);
	int (*encrypt_init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, void *, const unsigned char *,
			    const unsigned char *);
	int (*encrypt)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
	const EVP_MD *md[3];
	EVP_CIPHER_CTX *ctx[2];
} crypto;

static unsigned char plain[16384], out[16384 + 64], key[64];

TRUTH_FRAME unsigned long crypto_digest(unsigned long x)
{
	unsigned len;

	crypto.digest(plain, 4096, out, &len, crypto.md[x % 3], NULL);
	return x + out[0] + 1;
}

TRUTH_FRAME unsigned long crypto_encrypt(unsigned long x)
{
	int len;

	crypto.encrypt(crypto.ctx[x % 2], out, &len, plain, 8192);
	return x + out[0] + 1;
}

TRUTH_BUSY(crypto_digest_outer, crypto_digest)
TRUTH_BUSY(crypto_encrypt_outer, crypto_encrypt)

static void *crypto_make(const char *name)
{
	void *(*make)(void) = (void *(*)(void))dlsym(crypto.handle, name);

	return make ? make() : NULL;
}

static int set_up_crypto(void)
{
	static const char *const digests[] = {"EVP_sha1", "EVP_sha256", "EVP_sha512"};
	static const char *const ciphers[] = {"EVP_aes_128_cbc", "EVP_chacha20_poly1305"};
	bool ok = true;

	crypto.handle = dlopen("libcrypto.so.3", RTLD_NOW);
	if (!crypto.handle) {
		printf("libs crypto: off: %s\n", dlerror());
		return 77;
	}
	*(void **)&crypto.digest = dlsym(crypto.handle, "EVP_Digest");
	*(void **)&crypto.encrypt_init = dlsym(crypto.handle, "EVP_EncryptInit_ex");
	*(void **)&crypto.encrypt = dlsym(crypto.handle, "EVP_EncryptUpdate");
	for (unsigned i = 0; i < 3; i++)
		ok = (crypto.md[i] = crypto_make(digests[i])) && ok;
	for (unsigned i = 0; i < 2; i++) {
		crypto.ctx[i] = crypto_make("EVP_CIPHER_CTX_new");
		ok = crypto.ctx[i] && ok && crypto.encrypt_init &&
		     crypto.encrypt_init(crypto.ctx[i], crypto_make(ciphers[i]), NULL, key, key);
	}
	if (!ok || !crypto.digest || !crypto.encrypt) {
		puts("libs crypto: off: libcrypto.so.3 lacks a function");
		return 77;
	}
	return 0;
}

static void expect_crypto(void)
{
	truth_print(-1, "truth_run;crypto_digest_outer;crypto_digest;*");
	truth_print(-1, "truth_run;crypto_encrypt_outer;crypto_encrypt;*");
}

/* ---- swap ------------------------------------------------------------------------------------ */

TRUTH_FRAME unsigned long swap_call(unsigned long (*work)(unsigned long), unsigned long x)
{
	for (unsigned i = 0; i < 200; i++)
		x = work(x) + 1;
	return x;
}

/* Of one library: loads, burns 200 units, unloads. Where it lay, NULL when it cannot be loaded. */
TRUTH_FRAME void *swap_load(const char *file, const char *function)
{
	void *handle = dlopen(file, RTLD_LAZY);
	unsigned long (*work)(unsigned long);
	struct link_map *map;
	void *base;

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map))
		return NULL;
	base = (void *)map->l_addr;
	*(void **)&work = dlsym(handle, function);
	if (!work)
		return NULL;
	swap_call(work, 1);
	dlclose(handle);
	return base;
}

/* The libraries lie beside the program: its RUNPATH is $ORIGIN. */
TRUTH_FRAME int swap_run(void)
{
	unsigned rounds = 0, same = 0;

	do {
		void *one = swap_load("libswap-one.so", "swap_one");
		void *two = swap_load("libswap-two.so", "swap_two");

		if (!one || !two) {
			fprintf(stderr, "libs swap: %s\n", dlerror());
			return 1;
		}
		rounds++;
		same += one == two;
	} while (!truth_over());
	printf("libs swap: %u rounds, %u at the same address\n", rounds, same);
	return same ? 0 : 1;
}

static void expect_swap(void)
{
	puts("base known");
	truth_print(50, "swap_run;swap_load;swap_call;swap_one;one_outer;one_leaf");
	truth_print(50, "swap_run;swap_load;swap_call;swap_two;two_outer;two_leaf");
}

static const struct truth truths[] = {
	{"plt", {{100, plt_outer, ""}}, .expect = expect_plt},
	{"vdso", {{100, vdso_outer, ""}}, .expect = expect_vdso},
	{"crypto",
	 {{50, crypto_digest_outer, ""}, {50, crypto_encrypt_outer, ""}},
	 .setup = set_up_crypto,
	 .expect = expect_crypto},
	{"swap", .run = swap_run, .expect = expect_swap},
	{0},
};

int main(int argc, char **argv)
{
	return truth_main(argc, argv, truths);
}
