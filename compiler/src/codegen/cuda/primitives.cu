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

// A log-probability of 0 is approached from below.
__device__ __forceinline__ float ponens_log_prob(float a) { return a == 0.0f ? -0.0f : a; }
