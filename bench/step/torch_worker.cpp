// Steps of one recurrent cell by libtorch, one thread, without Python: see src/main.rs for the commands.
//
//     torch_worker CELL HIDDEN CASE

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: torch_worker CELL HIDDEN CASE\n";
        return 2;
    }
    at::set_num_threads(1);
    c10::InferenceMode inference;
    const std::string cell = argv[1];
    const int64_t hidden = std::stoll(argv[2]);
    const int64_t gates = cell == "lstm" ? 4 : cell == "gru" ? 3 : 1;

    std::ifstream file(std::string(argv[3]) + ".bin", std::ios::binary | std::ios::ate);
    std::vector<float> numbers(static_cast<size_t>(file.tellg()) / sizeof(float));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(float)));
    size_t at = 0;
    auto take = [&](std::vector<int64_t> dims) {
        at::Tensor tensor = at::empty(dims, at::kFloat);
        std::copy_n(numbers.begin() + static_cast<std::ptrdiff_t>(at), tensor.numel(), tensor.data_ptr<float>());
        at += static_cast<size_t>(tensor.numel());
        return tensor;
    };
    const at::Tensor w_ih = take({gates * hidden, hidden}), w_hh = take({gates * hidden, hidden});
    const at::Tensor b_ih = take({gates * hidden}), b_hh = take({gates * hidden});
    std::vector<at::Tensor> x;
    while (at + static_cast<size_t>(hidden) <= numbers.size()) {
        x.push_back(take({1, hidden}));
    }

    at::Tensor h = at::zeros({1, hidden}), c = at::zeros({1, hidden});
    auto step = [&](size_t t) {
        const at::Tensor& input = x[t % x.size()];
        if (cell == "lstm") {
            std::tie(h, c) = at::lstm_cell(input, {h, c}, w_ih, w_hh, b_ih, b_hh);
        } else if (cell == "gru") {
            h = at::gru_cell(input, h, w_ih, w_hh, b_ih, b_hh);
        } else {
            h = at::rnn_tanh_cell(input, h, w_ih, w_hh, b_ih, b_hh);
        }
    };
    std::string line;
    while (std::getline(std::cin, line)) {
        if (line == "check") {
            for (size_t t = 0; t < x.size(); t++) {
                step(t);
            }
            std::printf("{\"h\": [");
            for (int64_t i = 0; i < hidden; i++) {
                std::printf("%s%.9g", i > 0 ? ", " : "", h.data_ptr<float>()[i]);
            }
            std::printf("]}\n");
        } else {
            const size_t n = std::stoul(line.substr(line.find(' ')));
            const auto start = std::chrono::steady_clock::now();
            for (size_t t = 0; t < n; t++) {
                step(t);
            }
            const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
            std::printf("{\"seconds\": %.9e}\n", seconds.count());
        }
        std::fflush(stdout);
    }
}
