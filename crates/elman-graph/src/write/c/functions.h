/* e^x to 2 ulp; saturates at the ends of the range (Cephes, expf). */
static inline float @_power(int n) {
    union { uint32_t bits; float value; } x;
    x.bits = (uint32_t)(n + 127) << 23;
    return x.value;
}
static inline float @_expm1_part(float x, int *n) {
    float r, p;
    *n = (int)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
    r = x - (float)*n * 0.693359375f;
    r = r - (float)*n * -2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * r * r + r;
}
static inline float @_exp(float x) {
    int n;
    float e;
    if (x != x) return x;
    if (x > 88.37f) x = 88.37f;
    if (x < -87.33f) x = -87.33f;
    e = @_expm1_part(x, &n);
    return (e + 1.0f) * @_power(n);
}
static inline float @_tanh(float x) {
    int n;
    float e, scale;
    if (x != x) return x;
    if (x > 10.0f) x = 10.0f;
    if (x < -10.0f) x = -10.0f;
    e = @_expm1_part(x + x, &n);
    scale = @_power(n);
    e = e * scale + (scale - 1.0f);
    return e / (e + 2.0f);
}
static inline float @_sigmoid(float x) { return 1.0f / (1.0f + @_exp(-x)); }
/* erfc(x) for x from 0 on, to 4e-7. */
static inline float @_erfc(float x) {
    float t = 1.0f / (1.0f + 0.5f * x), u = 2.6153846f * t - 1.6153846f, q = 5.0384533e-6f;
    q = q * u - 2.4375496e-5f;
    q = q * u - 2.0147629e-5f;
    q = q * u + 3.45501e-4f;
    q = q * u - 2.1240974e-4f;
    q = q * u - 4.5001637e-3f;
    q = q * u + 3.0137852e-3f;
    q = q * u + 8.694371e-2f;
    q = q * u + 0.31487668f;
    q = q * u + 0.59957236f;
    return @_exp(-x * x) * t * q;
}
static inline float @_ln(float x) {
    union { uint32_t bits; float value; } u;
    float r, p, n = 0.0f;
    if (x == 0.0f) { u.bits = 0xff800000u; return u.value; }
    if (!(x > 0.0f)) { u.bits = 0x7fc00000u; return u.value; }
    if (x > 3.402823466e38f) return x;
    if (x < 1.17549435e-38f) { x *= 8388608.0f; n = -23.0f; }
    u.value = x;
    u.bits -= 0x3f3504f3u;
    n += (float)((int32_t)u.bits >> 23);
    u.bits = (u.bits & 0x007fffffu) + 0x3f3504f3u;
    r = u.value - 1.0f;
    p = 7.0376836292e-2f;
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    return r + (r * r * (p * r - 0.5f) + n * -2.12194440e-4f) + n * 0.693359375f;
}
static inline float @_sqrt(float x) {
    union { uint32_t bits; float value; } u;
    int i;
    if (x < 0.0f) { u.bits = 0x7fc00000u; return u.value; }
    if (!(x > 0.0f) || x > 3.402823466e38f) return x;
    u.value = x;
    u.bits = (u.bits >> 1) + 0x1fbd1df5u;
    for (i = 0; i < 4; i++) u.value = 0.5f * (u.value + x / u.value);
    return u.value;
}
/* y = W x + b, for `rows` inputs one after another; W has `units` rows. */
static inline void @_linear(const float *w, const float *b, int units, int depth, int rows, const float *x, float *y) {
    int row, u, k;
    for (row = 0; row < rows; row++) {
        for (u = 0; u < units; u++) {
            float sum = b[u];
            for (k = 0; k < depth; k++) sum += w[u * depth + k] * x[row * depth + k];
            y[row * units + u] = sum;
        }
    }
}
