#define PONENS_INF __int_as_float(0x7f800000)

// ln(1 - e^a), a <= 0. The branch is chosen first: blending two evaluated branches gives 0 * inf.
__device__ __forceinline__ float ponens_log1mexp(float a) {
    return a > -0.693147182f ? logf(-expm1f(a)) : log1pf(-expf(a));
}

// ln(1 + e^x)
__device__ __forceinline__ float ponens_softplus(float x) {
    return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x)));
}

// 1 / (1 + e^-x)
__device__ __forceinline__ float ponens_sigmoid(float x) {
    float e = expf(-fabsf(x));
    return x < 0.0f ? e / (1.0f + e) : 1.0f / (1.0f + e);
}

// ln(e^a + e^b)
__device__ __forceinline__ float ponens_logaddexp(float a, float b) {
    if (a == b) return a + 0.693147182f;
    return (a > b ? a : b) + log1pf(expf(-fabsf(a - b)));
}

// The greater and the smaller; NaN if either is, which fmaxf and fminf would hide.
__device__ __forceinline__ float ponens_max(float a, float b) { return a != a || a > b ? a : b; }
__device__ __forceinline__ float ponens_min(float a, float b) { return a != a || a < b ? a : b; }

// a^b; a zero base counts as +0, the limit from inside the domain.
__device__ __forceinline__ float ponens_pow(float a, float b) {
    return powf(a == 0.0f ? 0.0f : a, b);
}

// A zero of a column that cannot be positive is approached from below, of any other from above.
__device__ __forceinline__ float ponens_nonpositive(float a) { return a == 0.0f ? -0.0f : a; }
__device__ __forceinline__ float ponens_column(float a) { return a == 0.0f ? 0.0f : a; }
